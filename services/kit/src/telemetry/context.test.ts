import { expect, test } from "vitest";
import {
  activeSpan,
  describeSpan,
  formatTraceparent,
  parseTraceparent,
  runActive,
} from "./context.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

test("writes a traceparent that it reads back", () => {
  for (const sampled of [true, false]) {
    const context = { traceId, spanId, sampled };
    expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
  }
});

test("reads later versions and unknown flags", () => {
  expect(parseTraceparent(`01-${traceId}-${spanId}-03-more`)).toEqual({
    traceId,
    spanId,
    sampled: true,
  });
});

test.each([
  undefined,
  "",
  "garbage",
  `ff-${traceId}-${spanId}-01`,
  `00-${traceId}-${spanId}-01-more`,
  `00-${"0".repeat(32)}-${spanId}-01`,
  `00-${traceId}-${"0".repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${traceId}-${spanId}-1`,
  `01-${traceId}-${spanId}-01-${"x".repeat(1000)}`,
])("goes on without a parent when it is %j", (text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});

test("keeps the active context through what is awaited, and only there", async () => {
  const context = { traceId, spanId, sampled: true };
  await runActive({ context }, async () => {
    await Promise.resolve();
    expect(activeSpan()).toBe(context);
  });
  expect(activeSpan()).toBeUndefined();
});

test("adds attributes to the active span from anywhere inside it, and to nothing outside", async () => {
  const context = { traceId, spanId, sampled: true };
  const seen: unknown[] = [];
  await runActive({ context, set: (attributes) => seen.push(attributes) }, async () => {
    await Promise.resolve();
    describeSpan({ a: 1 });
  });
  describeSpan({ b: 2 });
  expect(seen).toEqual([{ a: 1 }]);
});
