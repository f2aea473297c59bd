import { expect, test, vi } from "vitest";
import { createRefusals } from "./refusals.ts";

test("answers refusals after 100 ms, in their order, ten in 5 ms, and each within a second", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  try {
    const refusals = createRefusals();
    const answered: number[] = [];
    for (let at = 0; at < 5_000; at++) void refusals.pause().then(() => answered.push(at));
    await vi.advanceTimersByTimeAsync(99);
    expect(answered).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(answered).toHaveLength(10);
    await vi.advanceTimersByTimeAsync(400);
    expect(answered).toHaveLength(810);
    await vi.advanceTimersByTimeAsync(505);
    expect(answered).toEqual(Array.from({ length: 5_000 }, (_, at) => at));
  } finally {
    vi.useRealTimers();
  }
});
