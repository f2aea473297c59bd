import { describe, expect, test } from "vitest";
import { type Entry, judge, longestSilence, misordered } from "./ledger.ts";

const entry = (mark: string, fate: Entry["fate"], status = 202): Entry => ({
  mark,
  channelId: "c",
  fate,
  status,
  keyed: false,
});

describe("the judge of faulty runs", () => {
  test("finds an accepted event that nobody can read", () => {
    expect(judge([entry("a", "accepted"), entry("b", "accepted")], ["b"]).lost).toEqual(["a"]);
  });

  test("finds an event that is readable twice", () => {
    expect(judge([entry("a", "accepted")], ["a", "a"]).doubled).toEqual(["a"]);
  });

  test("finds a refused event that was kept all the same", () => {
    const verdict = judge([entry("a", "refused", 429), entry("b", "unsent", 0)], ["a", "b"]);
    expect(verdict.ghosts).toEqual(["a", "b"]);
    expect(verdict.refusedByStatus).toEqual({ 429: 1 });
  });

  test("lets an event whose answer was lost be readable or not", () => {
    const verdict = judge([entry("a", "unknown", 0), entry("b", "unknown", 503)], ["a"]);
    expect(verdict).toMatchObject({ unknown: 2, unknownReadable: 1, lost: [], ghosts: [] });
  });

  test("finds messages that stand in another order than in the log", () => {
    expect(misordered(["a", "b", "c"], ["a", "c", "b"])).toEqual(["b"]);
    expect(misordered(["a", "b", "a", "c"], ["a", "b", "c"])).toEqual([]);
  });

  test("measures the longest silence within a span", () => {
    expect(longestSilence([0, 10, 50, 60, 300], 10, 100)).toBe(40);
    expect(longestSilence([], 0, 100)).toBe(100);
  });
});
