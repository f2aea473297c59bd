/** For tests: records spans by the SDK into memory, in a form that is easy to compare. */
import { SpanStatusCode } from "@opentelemetry/api";
import { emptyResource } from "@opentelemetry/resources";
import { type ReadableSpan, type Sampler, TracerProvider } from "@opentelemetry/sdk-trace";
import { ATTR } from "../semconv.ts";
import type { SpanContext } from "./context.ts";
import { createStartSpan, LINKS_MAX, SCOPE } from "./sdk-spans.ts";
import { type SpanKind, useSpans } from "./spans.ts";

/** A span that ended. */
export type FinishedSpan = {
  readonly name: string;
  readonly kind: SpanKind;
  readonly context: SpanContext;
  readonly parent: SpanContext | undefined;
  readonly links: readonly SpanContext[];
  readonly attributes: Readonly<Record<string, unknown>>;
  /** undefined: status unset; else status Error with this `error.type`. */
  readonly failure: string | undefined;
  /** All of it, as the SDK would send it. */
  readonly sdk: ReadableSpan;
};

const KINDS = ["internal", "server", "client", "producer", "consumer"] as const;

/** Turns tracing on; disposing turns it off. `spans` has those that ended, in that order. */
export function recordSpans(
  options: { sampler?: Sampler } = {},
): Disposable & { readonly spans: readonly FinishedSpan[] } {
  const spans: FinishedSpan[] = [];
  const provider = new TracerProvider({
    ...options,
    resource: emptyResource(),
    spanLimits: { linkCountLimit: LINKS_MAX },
    spanProcessors: [
      {
        onStart() {},
        onEnd: (span) => void spans.push(toFinished(span)),
        async forceFlush() {},
        async shutdown() {},
      },
    ],
  });
  useSpans(createStartSpan(provider.getTracer(SCOPE.name)));
  return { spans, [Symbol.dispose]: () => useSpans(undefined) };
}

function toFinished(span: ReadableSpan): FinishedSpan {
  const { parentSpanContext, attributes } = span;
  const isError = span.status.code === SpanStatusCode.ERROR;
  return {
    name: span.name,
    kind: KINDS[span.kind] ?? "internal",
    context: toOurs(span.spanContext()),
    parent: parentSpanContext && toOurs(parentSpanContext),
    links: span.links.map((link) => toOurs(link.context)),
    attributes,
    failure: isError ? String(attributes[ATTR.errorType]) : undefined,
    sdk: span,
  };
}

function toOurs(context: { traceId: string; spanId: string; traceFlags: number }): SpanContext {
  const { traceId, spanId, traceFlags } = context;
  return { traceId, spanId, sampled: (traceFlags & 1) === 1 };
}
