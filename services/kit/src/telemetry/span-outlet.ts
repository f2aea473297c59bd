/**
 * The SDK's batch processor within our bounds: one send at a time, and whatever finds no room or is not taken is counted.
 * When the collector is slow or away nothing waits for it and nothing grows.
 */
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace";
import { ATTR, METRIC } from "../semconv.ts";
import { counter, gauge } from "./metrics.ts";

/** How spans are gathered. Counts of spans, ms between sends. */
export type BatchLimits = {
  readonly queueMax: number;
  readonly batchMax: number;
  readonly delayMs: number;
};

/** What the conventions of otel.sdk.* name the component. */
const COMPONENT = {
  [ATTR.otelComponentName]: "batching_span_processor/0",
  [ATTR.otelComponentType]: "batching_span_processor",
};
const QUEUE_FULL = { ...COMPONENT, [ATTR.errorType]: "queue_full" };
const FAILED = { ...COMPONENT, [ATTR.errorType]: "export_failed" };

/** Makes the processor. `hear` is told the end of every send; shutting down sends what is left. */
export function createSpanOutlet(options: {
  exporter: SpanExporter;
  limits: BatchLimits;
  hear: (result: ExportResult) => void;
}): SpanProcessor {
  const { exporter, limits, hear } = options;
  const processed = counter(METRIC.otelSpanProcessed, {
    unit: "{span}",
    description: "Spans taken for sending, or dropped with error.type.",
  });
  const exported = counter(METRIC.otelSpanExported, {
    unit: "{span}",
    description: "Spans the collector took, or that were given up with error.type.",
  });
  gauge(METRIC.otelSpanQueueSize, () => waiting, { unit: "{span}" });
  gauge(METRIC.otelSpanQueueCapacity, () => limits.queueMax, { unit: "{span}" });

  /** Spans that ended and whose send has not begun. */
  let waiting = 0;
  /** The SDK hands over all batches at once when it shuts down: they go one after another, as at all other times. */
  let sending: Promise<void> = Promise.resolve();
  const batches = new BatchSpanProcessor({
    exporter: {
      export(spans, done) {
        sending = sending.then(() => send(spans, done));
      },
      forceFlush: () => sending,
      shutdown: async () => {
        await sending;
        await exporter.shutdown();
      },
    },
    maxQueueSize: limits.queueMax,
    maxExportBatchSize: Math.min(limits.batchMax, limits.queueMax),
    scheduledDelayMillis: limits.delayMs,
  });

  return {
    onStart() {},
    onEnd(span) {
      if (waiting >= limits.queueMax) {
        processed.add(1, QUEUE_FULL);
        return;
      }
      waiting++;
      batches.onEnd(span);
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  };

  async function send(spans: ReadableSpan[], done: (result: ExportResult) => void): Promise<void> {
    await nextTurn(); // whoever ended the span that filled the batch is not to pay for turning it into bytes
    waiting -= spans.length;
    processed.add(spans.length, COMPONENT);
    const result = await settle(spans);
    exported.add(spans.length, result.code === ExportResultCode.SUCCESS ? COMPONENT : FAILED);
    hear(result);
    done(result);
  }

  /** A span that the exporter cannot turn into bytes costs its batch, not all that come after. */
  function settle(spans: ReadableSpan[]): Promise<ExportResult> {
    return new Promise<ExportResult>((resolve) => exporter.export(spans, resolve)).catch(
      (error: Error) => ({ code: ExportResultCode.FAILED, error }),
    );
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
