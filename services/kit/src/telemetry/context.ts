/**
 * Who is the parent: trace contexts, the active one, and their W3C text. Imports nothing of OpenTelemetry, so that the log
 * and the doors may read it at no cost.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** The identity of a span: 32 and 16 lower-case hex digits, and whether its trace is kept. */
export type SpanContext = {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
};

/** What can be active: a span, seen from inside of it. */
export type Active = {
  readonly context: SpanContext | undefined;
  set?(attributes: Record<string, string | number | boolean>): void;
};

const active = new AsyncLocalStorage<Active>();
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO_TRACE = "0".repeat(32);
const ZERO_SPAN = "0".repeat(16);

/** The context that `runActive` set for this flow of calls; undefined outside of one. */
export function activeSpan(): SpanContext | undefined {
  return active.getStore()?.context;
}

/** Runs `work` with `span` as the active one, through all that it awaits. */
export function runActive<T>(span: Active, work: () => T): T {
  return active.run(span, work);
}

/** Adds attributes to the active span, for rules that were not handed it; does nothing without one. */
export function describeSpan(attributes: Record<string, string | number | boolean>): void {
  active.getStore()?.set?.(attributes);
}

/** The W3C `traceparent` of a context, version 00. */
export function formatTraceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}

/**
 * Reads a W3C `traceparent` (Trace Context, section 3.2): any version but ff, extra parts only after version 00, no id all
 * zeros.
 * @returns undefined when the text is absent or not valid: the caller goes on without a parent
 */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  if (text === undefined || text.length < 55 || text.length > 512) return undefined;
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(text) ?? [];
  if (!traceId || !spanId || !flags || version === "ff") return undefined;
  if (version === "00" && rest !== undefined) return undefined;
  if (traceId === ZERO_TRACE || spanId === ZERO_SPAN) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
