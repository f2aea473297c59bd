import { expect, test } from "vitest";
import { createSlots } from "./slots.ts";

test("never more than so many work at once, and all get their turn in order", async () => {
  const slots = createSlots(2);
  const order: number[] = [];
  let working = 0;
  let most = 0;
  await Promise.all(
    [1, 2, 3, 4, 5].map(async (name) => {
      const give = await slots.take();
      working++;
      most = Math.max(most, working);
      order.push(name);
      await Promise.resolve();
      working--;
      give();
      give(); // a second time changes nothing
    }),
  );
  expect(most).toBe(2);
  expect(order).toEqual([1, 2, 3, 4, 5]);
});
