import { expect, test, vi } from "vitest";
import { createRefusals } from "./refusals.ts";

test("answers the refusals of one sender after 100 ms, in their order, ten in 5 ms, and each within a second", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  try {
    const refusals = createRefusals();
    const answered: number[] = [];
    for (let at = 0; at < 5_000; at++) void refusals.pause("busy").then(() => answered.push(at));
    await vi.advanceTimersByTimeAsync(99);
    expect(answered).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(answered).toHaveLength(18);
    await vi.advanceTimersByTimeAsync(400);
    expect(answered).toHaveLength(818);
    await vi.advanceTimersByTimeAsync(505);
    expect(answered).toEqual(Array.from({ length: 5_000 }, (_, at) => at));
  } finally {
    vi.useRealTimers();
  }
});

test("a refusal of a quiet sender does not wait behind those of another one", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  try {
    const refusals = createRefusals();
    let isAnswered = false;
    for (let at = 0; at < 5_000; at++) void refusals.pause("busy");
    void refusals.pause("quiet").then(() => {
      isAnswered = true;
    });
    await vi.advanceTimersByTimeAsync(100);
    expect(isAnswered).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});
