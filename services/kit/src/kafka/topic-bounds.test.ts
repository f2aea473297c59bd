import { expect, test } from "vitest";
import { listBounds } from "./topic-bounds.ts";

const MIB = 1024 * 1024;

/** The value that a topic gets for each setting that does not suffice. */
function adjust(retention: { ms: number; bytes?: number }, actual: Record<string, number>) {
  const bounds = listBounds({ batchBytesMax: 4 * MIB, retention });
  const short = bounds.filter(({ name, suffices }) => !suffices(actual[name] ?? Number.NaN));
  return Object.fromEntries(short.map(({ name, value }) => [name, value]));
}

test("a topic without a bound of its own has none but that of a batch", () => {
  expect(adjust({ ms: 1_000 }, { "max.message.bytes": MIB })).toEqual({
    "max.message.bytes": 4 * MIB,
  });
});

test("a topic that keeps any number of bytes gets its bound, in segments that are a part of it", () => {
  const fresh = {
    "max.message.bytes": 4 * MIB,
    "retention.bytes": -1,
    "segment.bytes": 1024 * MIB,
  };
  expect(adjust({ ms: 1_000, bytes: 256 * MIB }, fresh)).toEqual({
    "retention.bytes": 256 * MIB,
    "segment.bytes": 64 * MIB,
  });
});

test("what an operator bounded otherwise, larger or smaller, stays", () => {
  for (const bytes of [0, 10 * MIB, 9_999 * MIB]) {
    const own = {
      "max.message.bytes": 8 * MIB,
      "retention.bytes": bytes,
      "segment.bytes": 16 * MIB,
    };
    expect(adjust({ ms: 1_000, bytes: 256 * MIB }, own)).toEqual({});
  }
});
