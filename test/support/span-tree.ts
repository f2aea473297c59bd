/** Traces as text: one line per span, indented by depth, so that a test compares a whole tree at once. */
import type { SinkSpan } from "./otlp-sink.ts";

/** The spans of one trace. */
export function spansOf(spans: readonly SinkSpan[], traceId: string): SinkSpan[] {
  return spans.filter((span) => span.traceId === traceId);
}

/**
 * One line per span, `<service> <kind> <name>`, two spaces deeper than its parent; children in the order they began. A
 * span whose parent is in another trace or was not exported begins with `?`.
 */
export function renderTree(spans: readonly SinkSpan[]): string[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const roots = spans.filter(({ parentSpanId }) => !ids.has(parentSpanId));
  return byStart(roots).flatMap((root) => render(root, ""));

  function render(span: SinkSpan, indent: string): string[] {
    const isLost = indent === "" && span.parentSpanId !== "";
    const children = byStart(spans.filter(({ parentSpanId }) => parentSpanId === span.spanId));
    return [
      `${isLost ? "? " : indent}${span.service} ${span.kind} ${span.name}`,
      ...children.flatMap((child) => render(child, `${indent}  `)),
    ];
  }
}

function byStart(spans: readonly SinkSpan[]): SinkSpan[] {
  return spans.toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
}
