/** Integers for dialects that speak in integers: drawn from blocks reserved ahead, so that no event waits for them. */
import { delayMs } from "@headgate/kit/backoff";
import { AppError } from "@headgate/kit/errors";

/** A drawer of integers. */
export type Numbers = {
  /** The next integer of this process. @throws AppError unavailable `numbers_out` when the registry gave none in time */
  draw(): Promise<bigint>;
};

/** Integers per block: at 5,000 events/s half a block lasts one second, and a crash wastes no more than this. */
const BLOCK_COUNT = 10_000;

/**
 * Wires the drawing. `reserve` gives the first of a block that nobody else gets; the next block is asked for when half
 * of the last is left. A failed reservation is tried again by the next draw, at the soonest after a back-off.
 */
export function createNumbers({
  reserve,
  count = BLOCK_COUNT,
  now = Date.now,
}: {
  reserve: (count: number) => Promise<bigint>;
  count?: number;
  now?: () => number;
}): Numbers {
  let next = 0n;
  let left = 0;
  let ahead: bigint | undefined;
  let asking: Promise<void> | undefined;
  let failures = 0;
  let notBeforeMs = 0;

  return {
    async draw() {
      if (left === 0 && ahead === undefined) {
        refill();
        await asking;
      }
      if (left === 0 && ahead !== undefined) {
        next = ahead;
        left = count;
        ahead = undefined;
      }
      if (left === 0) {
        throw new AppError(
          "unavailable",
          "numbers_out",
          "No numbers could be reserved. Try again soon.",
          {
            retryAfterMs: 1000,
          },
        );
      }
      const drawn = next;
      next += 1n;
      left -= 1;
      if (left <= count / 2 && ahead === undefined) refill();
      return drawn;
    },
  };

  function refill(): void {
    if (asking === undefined && now() >= notBeforeMs) asking = ask();
  }

  async function ask(): Promise<void> {
    try {
      ahead = await reserve(count);
      failures = 0;
    } catch {
      failures += 1;
      notBeforeMs = now() + delayMs({ firstMs: 100, mostMs: 2000 }, failures);
    } finally {
      asking = undefined;
    }
  }
}
