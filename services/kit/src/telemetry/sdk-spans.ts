/** Our spans on the SDK's tracer. Loaded only when traces are asked for. */
import {
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span as SdkSpan,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { AppError } from "../errors.ts";
import { ATTR } from "../semconv.ts";
import type { SpanContext } from "./context.ts";
import {
  NOTHING,
  type Span,
  type SpanAttributes,
  type SpanKind,
  type SpanOptions,
  type StartSpan,
} from "./spans.ts";

/** The instrumentation scope of all that we record. */
export const SCOPE = { name: "headgate" };

/** Links of a span; more than the SDK's 128, for a chunk of 500 records is linked to all that wrote them. */
export const LINKS_MAX = 512;

/** The numbers of @opentelemetry/api's SpanKind, which differ from those on the wire. */
const KINDS: Record<SpanKind, number> = {
  internal: 0,
  server: 1,
  client: 2,
  producer: 3,
  consumer: 4,
};

/** Makes `startSpan` work on `tracer`. A trace that is not sampled is passed on by its ids and costs no more than them. */
export function createStartSpan(tracer: Tracer): StartSpan {
  return function startSdkSpan(name, parent, options) {
    const span = tracer.startSpan(name, toSdkOptions(options), toSdkParent(parent));
    const { traceId, spanId, traceFlags } = span.spanContext();
    const context = { traceId, spanId, sampled: (traceFlags & 1) === 1 };
    if (!span.isRecording()) return { context, ...NOTHING };
    // Given here and not in the options, attributes are checked once and not twice, and not at all when nothing is recorded.
    if (options?.attributes) span.setAttributes(options.attributes);
    return new RecordedSpan(span, context);
  };
}

/** A class, so that a span costs one object more than the SDK's own, and no closures. */
class RecordedSpan implements Span {
  readonly context: SpanContext;
  readonly #span: SdkSpan;

  constructor(span: SdkSpan, context: SpanContext) {
    this.#span = span;
    this.context = context;
  }

  // The SDK makes an Error with a stack for each call after the end, only to warn of it: hence the questions first.
  set(attributes: SpanAttributes): void {
    if (this.#span.isRecording()) this.#span.setAttributes(attributes);
  }

  rename(name: string): void {
    if (this.#span.isRecording()) this.#span.updateName(name);
  }

  fail(error: unknown): void {
    if (!this.#span.isRecording()) return;
    this.#span.setAttribute(ATTR.errorType, errorType(error));
    this.#span.setStatus({ code: SpanStatusCode.ERROR }); // no message: it could hold a secret
  }

  end(): void {
    if (this.#span.isRecording()) this.#span.end();
  }
}

function toSdkOptions(options: SpanOptions | undefined) {
  if (options === undefined) return {};
  const { kind = "internal", links } = options;
  return links ? { kind: KINDS[kind], links: links.map(toLink) } : { kind: KINDS[kind] };
}

function toSdkParent(parent: SpanContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, toSdk(parent));
}

function toLink(context: SpanContext): Link {
  return { context: toSdk(context) };
}

function toSdk({ traceId, spanId, sampled }: SpanContext) {
  return { traceId, spanId, traceFlags: sampled ? 1 : 0 };
}

function errorType(error: unknown): string {
  if (error instanceof AppError) return error.reason;
  if (error instanceof Error) return error.name;
  return "_OTHER";
}
