import { inspect } from "node:util";
import { AlwaysOffSampler } from "@opentelemetry/sdk-trace";
import { expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { withSpan } from "../telemetry.ts";
import { activeSpan } from "./context.ts";
import { recordSpans } from "./recorded-spans.ts";
import { NO_SPAN, startSpan, tracing } from "./spans.ts";

test("gives one shared span that does nothing when nothing is traced", () => {
  expect(tracing()).toBe(false);
  const span = startSpan("a", { kind: "server", root: true });
  expect(span).toBe(NO_SPAN);
  expect(startSpan("b")).toBe(span);
  expect(withSpan(span, () => activeSpan())).toBeUndefined();
  span.set({ a: 1 });
  span.fail(new Error("x"));
  span.end();
});

test("makes spans begun inside a span its children, unless they want to be roots", async () => {
  using recorder = recordSpans();
  const parent = startSpan("parent", { kind: "server" });
  await withSpan(parent, async () => {
    await Promise.resolve();
    startSpan("child").end();
    startSpan("root", { root: true, links: parent.context ? [parent.context] : [] }).end();
  });
  parent.end();
  const [child, root, own] = recorder.spans;
  expect(child?.parent).toEqual(parent.context);
  expect(child?.context.traceId).toBe(parent.context?.traceId);
  expect(root?.parent).toBeUndefined();
  expect(root?.context.traceId).not.toBe(parent.context?.traceId);
  expect(root?.links).toEqual([parent.context]);
  expect(own).toMatchObject({ name: "parent", kind: "server", failure: undefined });
  expect(own?.sdk.duration).not.toEqual([-1, -1]);
});

test("goes the parent's way, so that a trace is whole or absent", () => {
  using recorder = recordSpans();
  const parent = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: false };
  const span = startSpan("child", { parent });
  span.end();
  expect(span.context).toMatchObject({ traceId: parent.traceId, sampled: false });
  expect(recorder.spans).toEqual([]);
});

test("prefers the parent that is named to the active one", () => {
  using recorder = recordSpans();
  const parent = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };
  withSpan(startSpan("active"), () => startSpan("child", { parent }).end());
  expect(recorder.spans[0]?.context).toMatchObject({ traceId: parent.traceId, sampled: true });
});

test("makes ids of 32 and 16 hex digits, each once", () => {
  using _recorder = recordSpans();
  const contexts = Array.from({ length: 2000 }, () => startSpan("x", { root: true }).context);
  for (const context of contexts) {
    expect(context?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(context?.spanId).toMatch(/^[0-9a-f]{16}$/);
  }
  expect(new Set(contexts.map((context) => context?.spanId)).size).toBe(2000);
});

test("hands a span over once, and changes nothing after its end", () => {
  using recorder = recordSpans();
  const span = startSpan("x", { attributes: { a: 1, b: "x" } });
  span.set({ a: 2, c: true });
  span.end();
  span.set({ a: 3 });
  span.fail(new Error("late"));
  span.end();
  expect(recorder.spans).toHaveLength(1);
  expect(recorder.spans[0]).toMatchObject({
    attributes: { a: 2, b: "x", c: true },
    failure: undefined,
  });
});

test("names a failure by reason or type, never by message", () => {
  using recorder = recordSpans();
  const thrown = [
    new AppError("unavailable", "log_full", "x"),
    new TypeError("hg_secret"),
    "hg_secret",
  ];
  for (const error of thrown) {
    const span = startSpan("x");
    span.fail(error);
    span.end();
  }
  expect(recorder.spans.map((span) => span.failure)).toEqual(["log_full", "TypeError", "_OTHER"]);
  expect(recorder.spans[1]?.attributes).toEqual({ "error.type": "TypeError" });
  expect(inspect(recorder.spans, { depth: 9 })).not.toContain("secret");
});

test("keeps nothing of a trace that is not sampled, but passes its ids on", () => {
  using recorder = recordSpans({ sampler: new AlwaysOffSampler() });
  const span = startSpan("x", { root: true });
  withSpan(span, () => startSpan("child").end());
  span.end();
  expect(span.context?.sampled).toBe(false);
  expect(recorder.spans).toEqual([]);
});

test("bounds attributes and links", () => {
  using recorder = recordSpans();
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`a${at}`, at]));
  const link = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };
  startSpan("x", { attributes: many, links: new Array(600).fill(link) }).end();
  expect(Object.keys(recorder.spans[0]?.attributes ?? {})).toHaveLength(128);
  expect(recorder.spans[0]?.links).toHaveLength(512);
});
