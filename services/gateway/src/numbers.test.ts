import { AppError } from "@headgate/kit/errors";
import { expect, test } from "vitest";
import { createNumbers } from "./numbers.ts";

test("no number comes twice, and the next block is asked for before the last is used up", async () => {
  let next = 1n;
  let calls = 0;
  const numbers = createNumbers({
    count: 4,
    reserve: async (count) => {
      calls += 1;
      const first = next;
      next += BigInt(count) * 10n; // others take blocks in between
      return first;
    },
  });
  const drawn: bigint[] = [];
  for (let at = 0; at < 10; at++) drawn.push(await numbers.draw());
  expect(drawn).toEqual([1n, 2n, 3n, 4n, 41n, 42n, 43n, 44n, 81n, 82n]);
  expect(calls).toBe(4);
});

test("draws at one time share one reservation", async () => {
  let calls = 0;
  const numbers = createNumbers({
    count: 10,
    reserve: async () => {
      calls += 1;
      return 1n;
    },
  });
  const drawn = await Promise.all([numbers.draw(), numbers.draw(), numbers.draw()]);
  expect(drawn).toEqual([1n, 2n, 3n]);
  expect(calls).toBe(1);
});

test("without the registry a used up block is unavailable, until the registry is back", async () => {
  let isAway = true;
  let nowMs = 0;
  const numbers = createNumbers({
    now: () => nowMs,
    reserve: async () => {
      if (isAway) throw new AppError("unavailable", "away", "Away.");
      return 7n;
    },
  });
  await expect(numbers.draw()).rejects.toMatchObject({ reason: "numbers_out" });
  isAway = false;
  nowMs += 2001;
  expect(await numbers.draw()).toBe(7n);
});
