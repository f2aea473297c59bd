/** Delays between tries: exponential with full jitter, bounded. */
import { setTimeout as sleep } from "node:timers/promises";

/** Bounds of a retry: first and longest delay, in ms. */
export type Backoff = { readonly firstMs: number; readonly mostMs: number };

/**
 * The delay before try `attempt` (from 1): random between half and all of `firstMs * 2^(attempt-1)`, capped at `mostMs`.
 */
export function delayMs(
  { firstMs, mostMs }: Backoff,
  attempt: number,
  random = Math.random,
): number {
  const whole = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(whole / 2 + (whole / 2) * random());
}

/**
 * Runs `task` until it succeeds, at most `attemptsMax` times.
 * @throws what the last try threw, or what `isFinal` says is not worth another; `signal` ends the waiting
 */
export async function retry<T>(
  task: (attempt: number) => Promise<T>,
  options: Backoff & {
    attemptsMax: number;
    isFinal?: (thrown: unknown) => boolean;
    signal?: AbortSignal;
  },
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task(attempt);
    } catch (thrown) {
      if (attempt >= options.attemptsMax || options.isFinal?.(thrown)) throw thrown;
      await sleep(delayMs(options, attempt), undefined, { signal: options.signal });
    }
  }
}
