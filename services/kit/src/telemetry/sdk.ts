/**
 * The OpenTelemetry Node SDK, set up as we want it: our resource, our bounds, no instrumentation that hooks itself in, no
 * logs. It reads OTEL_* from the process's environment by itself. Loaded only when OTEL_* asks, for it would more than
 * double the memory and start time of a service without it.
 */
import {
  context,
  type DiagLogger,
  DiagLogLevel,
  diag,
  logs,
  metrics,
  propagation,
  trace,
} from "@opentelemetry/api";
import {
  type ExportResult,
  ExportResultCode,
  getNumberFromEnv,
  setGlobalErrorHandler,
} from "@opentelemetry/core";
import { defaultResource, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import {
  type IMetricReader,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import { NodeSDK } from "@opentelemetry/sdk-node";
import type { SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";
import type { Log } from "../log.ts";
import { createMetricProducer } from "./metric-producer.ts";
import { createStartSpan, LINKS_MAX, SCOPE } from "./sdk-spans.ts";
import type { SignalSettings } from "./settings.ts";
import { createSpanOutlet } from "./span-outlet.ts";
import { useSpans } from "./spans.ts";

/** Larger than the specification's 2,048: at 10,000 requests/s that would hold less than a tenth of a second. */
const QUEUE_MAX = 16_384;
/** Smaller than the specification's 512, so that turning a batch into bytes holds up the event loop for about 1 ms. */
const BATCH_MAX = 256;
const DELAY_MS = 1000;
const METRIC_INTERVAL_MS = 60_000;
/** ms that disposing may take in all (operations, O15). */
const FLUSH_MS = 5000;
/** Different warnings of the SDK that are logged; it has few, and none is worth a second line. */
const WARNINGS_MAX = 50;

/** Starts the SDK for the signals that are asked for. Disposing sends what is left, within 5 s, and turns tracing off. */
export async function openSdk(options: {
  traces: SignalSettings | undefined;
  metrics: SignalSettings | undefined;
  resource: Record<string, string>;
  log: Log;
}): Promise<AsyncDisposable> {
  const { log } = options;
  const logger = createDiagLogger(log);
  setDiagLogger(logger);
  setGlobalErrorHandler(() => {}); // failed sends are heard of below, once
  const sdk = new NodeSDK({
    resource: defaultResource().merge(resourceFromAttributes(options.resource)),
    resourceDetectors: [envDetector], // OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go before ours
    spanProcessors: options.traces ? [await openTraces(options.traces, log)] : [],
    metricReaders: options.metrics ? [await openMetrics(options.metrics, log)] : [],
    logRecordProcessors: [],
    textMapPropagator: null,
    spanLimits: { linkCountLimit: getNumberFromEnv("OTEL_SPAN_LINK_COUNT_LIMIT") ?? LINKS_MAX },
  });
  setDiagLogger(logger); // OTEL_LOG_LEVEL makes the SDK write to the console, between our lines
  sdk.start();
  if (options.traces) useSpans(createStartSpan(trace.getTracer(SCOPE.name)));
  return {
    async [Symbol.asyncDispose]() {
      useSpans(undefined);
      const late = Promise.withResolvers<void>();
      const giveUp = setTimeout(late.resolve, FLUSH_MS);
      await Promise.race([sdk.shutdown().catch(() => {}), late.promise]);
      clearTimeout(giveUp);
      for (const api of [trace, metrics, logs, context, propagation, diag]) api.disable();
    },
  };
}

async function openTraces(settings: SignalSettings, log: Log): Promise<SpanProcessor> {
  const limits = {
    queueMax: readCount("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_MAX),
    batchMax: readCount("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_MAX),
    delayMs: readCount("OTEL_BSP_SCHEDULE_DELAY", DELAY_MS),
  };
  const exporter = await openSpanExporter(settings);
  return createSpanOutlet({ exporter, limits, hear: createListener("traces", settings, log) });
}

async function openMetrics(settings: SignalSettings, log: Log): Promise<IMetricReader> {
  const exporter = await openMetricExporter(settings);
  const hear = createListener("metrics", settings, log);
  return new PeriodicExportingMetricReader({
    exporter: {
      export(all, done) {
        exporter.export(all, (result) => {
          hear(result);
          done(result);
        });
      },
      forceFlush: () => exporter.forceFlush(),
      shutdown: () => exporter.shutdown(),
    },
    exportIntervalMillis: readCount("OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL_MS),
    metricProducers: [createMetricProducer()],
  });
}

/** The exporters read endpoint, headers, timeout, compression and certificates from OTEL_EXPORTER_OTLP_*, and retry by themselves. */
async function openSpanExporter({ protocol }: SignalSettings): Promise<SpanExporter> {
  const { OTLPTraceExporter } = await (protocol === "http/json"
    ? import("@opentelemetry/exporter-trace-otlp-http")
    : import("@opentelemetry/exporter-trace-otlp-proto"));
  return new OTLPTraceExporter();
}

async function openMetricExporter({ protocol }: SignalSettings): Promise<PushMetricExporter> {
  const { OTLPMetricExporter } = await (protocol === "http/json"
    ? import("@opentelemetry/exporter-metrics-otlp-http")
    : import("@opentelemetry/exporter-metrics-otlp-proto"));
  return new OTLPMetricExporter();
}

/** Logs the first failed send after a good one, and the first good one after that. */
function createListener(signal: string, { origin }: SignalSettings, log: Log) {
  let isAway = false;
  return function hear({ code, error }: ExportResult): void {
    const failed = code !== ExportResultCode.SUCCESS;
    if (failed && !isAway) log.warn("telemetry.collector_away", { signal, origin, error });
    if (!failed && isAway) log.info("telemetry.collector_back", { signal, origin });
    isAway = failed;
  };
}

function setDiagLogger(logger: DiagLogger): void {
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}

/** Warnings of the SDK, each once. What it quotes may be a setting that holds a credential: that is left out. */
function createDiagLogger(log: Log): DiagLogger {
  const seen = new Set<string>();
  const warn = (message: string) => {
    const warning = message.replaceAll(/(["'`]).*?\1/gs, "'…'");
    if (seen.has(warning) || seen.size >= WARNINGS_MAX) return;
    seen.add(warning);
    log.warn("telemetry.sdk_warning", { warning });
  };
  return { error: warn, warn, info() {}, debug() {}, verbose() {} };
}

function readCount(name: string, fallback: number): number {
  const value = getNumberFromEnv(name);
  if (value === undefined || (Number.isInteger(value) && value >= 1)) return value ?? fallback;
  diag.warn(`${name} must be a whole number from 1`);
  return fallback;
}
