/**
 * What a span is to its callers, and whether there are any. The OpenTelemetry SDK records them (`sdk-spans.ts`), and is
 * loaded only when OTEL_* asks for traces; until then a span is one shared object that does nothing.
 */
import { activeSpan, type SpanContext } from "./context.ts";

/** Which side of an exchange a span is. */
export type SpanKind = "server" | "client" | "producer" | "consumer" | "internal";

/** Values of a span: no token, secret, text or full hook URL. */
export type SpanAttributes = Record<string, string | number | boolean>;

/** Work that is being timed. After `end` nothing changes it. */
export type Span = {
  /** Who it is, to pass on; undefined when nothing is traced. */
  readonly context: SpanContext | undefined;
  /** Adds attributes; a name given again takes the new value. */
  set(attributes: SpanAttributes): void;
  /** Gives it another name, where the right one is known only later: the route of a request. */
  rename(name: string): void;
  /** Sets status Error and `error.type` (the AppError's reason, else the error's name). */
  fail(error: unknown): void;
  /** Ends it now; a second call does nothing. */
  end(): void;
};

/** How a span begins. Without `parent` the active span is the parent; `root` wants none. */
export type SpanOptions = {
  kind?: SpanKind;
  parent?: SpanContext | undefined;
  root?: boolean;
  links?: readonly SpanContext[];
  attributes?: SpanAttributes;
};

/** Begins a span under a parent that is already chosen; undefined makes it a root. */
export type StartSpan = (
  name: string,
  parent: SpanContext | undefined,
  options: SpanOptions | undefined,
) => Span;

/** The methods of a span that records nothing. */
export const NOTHING = { set() {}, rename() {}, fail() {}, end() {} };
/** The span of a process that traces nothing. */
export const NO_SPAN: Span = Object.freeze({ context: undefined, ...NOTHING });

let start: StartSpan | undefined;

/** Begins spans with `next` from now on; undefined turns tracing off. */
export function useSpans(next: StartSpan | undefined): void {
  start = next;
}

/** Whether spans are recorded at all. Where false, callers skip whatever they would do for a span. */
export function tracing(): boolean {
  return start !== undefined;
}

/** Begins a span; the shared no-op when nothing is traced. The caller ends it. */
export function startSpan(name: string, options?: SpanOptions): Span {
  if (start === undefined) return NO_SPAN;
  const parent = options?.root ? undefined : (options?.parent ?? activeSpan());
  return start(name, parent, options);
}
