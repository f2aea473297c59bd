/** Spans and metrics, behind one door. When OTEL_* asks for nothing, spans are free; metrics always feed `/metrics`. */
import { randomUUID } from "node:crypto";
import type { Log } from "./log.ts";
import { RESOURCE } from "./semconv.ts";
import { runActive } from "./telemetry/context.ts";
import { renderMetrics } from "./telemetry/prometheus.ts";
import { openRuntimeMetrics } from "./telemetry/runtime.ts";
import { readTelemetrySettings } from "./telemetry/settings.ts";
import type { Span } from "./telemetry/spans.ts";
import { VERSION } from "./version.ts";

export {
  activeSpan,
  describeSpan,
  formatTraceparent,
  parseTraceparent,
  type SpanContext,
} from "./telemetry/context.ts";
export { counter, gauge, histogram } from "./telemetry/metrics.ts";
export {
  type Span,
  type SpanKind,
  type SpanOptions,
  startSpan,
  tracing,
} from "./telemetry/spans.ts";

/**
 * Opens what OTEL_* asks for: spans when an OTLP endpoint or OTEL_TRACES_EXPORTER=otlp is set, metrics over OTLP likewise,
 * and the process's own metrics in any case. Call it once per process, with `process.env`: `env` decides what is on, the
 * OpenTelemetry SDK reads the rest from the process itself.
 * A collector that is away costs spans, which are counted, and one line in the log; disposing sends what is left, within 5 s.
 */
export async function openTelemetry(options: {
  service: string;
  env: NodeJS.ProcessEnv;
  log: Log;
}): Promise<AsyncDisposable> {
  const { log } = options;
  const { traces, metrics, faults } = readTelemetrySettings(options.env);
  for (const fault of faults) log.warn("telemetry.setting_ignored", { fault });
  const resource = {
    [RESOURCE.serviceName]: options.service,
    [RESOURCE.serviceNamespace]: "headgate",
    [RESOURCE.serviceVersion]: VERSION,
    [RESOURCE.serviceInstanceId]: randomUUID(),
  };
  await using scope = new AsyncDisposableStack();
  scope.use(openRuntimeMetrics());
  if (traces || metrics) {
    const { openSdk } = await import("./telemetry/sdk.ts");
    scope.use(await openSdk({ traces, metrics, resource, log }));
  }
  return scope.move();
}

/** Runs `work` with the span as the active one: spans begun inside, through all it awaits, are its children. */
export function withSpan<T>(span: Span, work: () => T): T {
  return span.context === undefined ? work() : runActive(span, work);
}

/** All metrics as Prometheus text (exposition format 0.0.4). */
export async function metricsText(): Promise<string> {
  return renderMetrics();
}
