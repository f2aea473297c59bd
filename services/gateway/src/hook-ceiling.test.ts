import { expect, test } from "vitest";
import { ceilingReached, createHookCeiling } from "./hook-ceiling.ts";

test("a hook has ten seconds of its rate at once, then its rate", () => {
  let nowMs = 0;
  const ceiling = createHookCeiling({ perMinute: 600, now: () => nowMs });
  expect(ceiling.take("a", 99)).toEqual({ granted: 99, retryAfterMs: 0 });
  expect(ceiling.take("a", 3)).toEqual({ granted: 1, retryAfterMs: 100 });
  nowMs += 50;
  expect(ceiling.take("a", 1)).toEqual({ granted: 0, retryAfterMs: 50 });
  nowMs += 50;
  expect(ceiling.take("a", 1).granted).toBe(1);
  nowMs += 1_000;
  expect(ceiling.take("a", 100).granted).toBe(10);
  nowMs += 3_600_000;
  expect(ceiling.take("a", 1_000).granted).toBe(100);
});

test("each hook has a ceiling of its own, and 0 sets none", () => {
  const ceiling = createHookCeiling({ perMinute: 6, now: () => 0 });
  expect(ceiling.take("a", 2).granted).toBe(1);
  expect(ceiling.take("b", 2).granted).toBe(1);
  expect(createHookCeiling({ perMinute: 0 }).take("a", 1e9).granted).toBe(1e9);
});

test("the refusal says when to come again, in whole seconds", () => {
  expect(ceilingReached(1)).toMatchObject({ reason: "hook_limited", retryAfterMs: 1_000 });
  expect(ceilingReached(1_001)).toMatchObject({ httpStatus: 429, retryAfterMs: 2_000 });
});
