import { expect, test } from "vitest";
import { formatCursor, parseCursor } from "./position.ts";

const at = new Date("2026-11-20T10:00:00Z");

test.each([[[]], [[0]], [[1, 127, 128, 16_384, 2 ** 40, Number.MAX_SAFE_INTEGER]]])(
  "a cursor reads back as it was written: %j",
  (position) => {
    const text = formatCursor({ position, at });
    expect(parseCursor(text)).toEqual({ position, at });
    expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
  },
);

test("a cursor of twelve partitions with millions of records each is short", () => {
  const position = Array.from({ length: 12 }, () => 5_000_000);
  expect(formatCursor({ position, at }).length).toBeLessThanOrEqual(80);
});

test.each([
  "",
  "x",
  "e-17",
  "0af76519-17",
  "AA",
  "AQ",
  "Af__",
  `AQ${"_".repeat(30)}`,
  "a".repeat(20_000),
  "AQ==",
])("a text of another form (%#) is no cursor", (text) => {
  expect(parseCursor(text)).toBeUndefined();
});
