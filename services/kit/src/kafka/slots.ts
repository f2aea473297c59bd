/** How many may work at once. */

/** Places to work in; `take` waits for a free one and returns how to give it back (once). */
export type Slots = { take(): Promise<() => void> };

/** `count` places, given in the order they were asked for. */
export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async take() {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      let given = false;
      return function give() {
        if (given) return;
        given = true;
        const next = waiting.shift();
        if (next) next();
        else free++;
      };
    },
  };
}
