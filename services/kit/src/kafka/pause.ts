/** Waiting that ends at once when it is no longer wanted. */
import { type Backoff, delayMs } from "../backoff.ts";

/** Waits, or stops waiting when the signal aborts; never throws. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", finish, { once: true });

    function finish(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    }
  });
}

/** Runs `task` until it does not throw, or the signal aborts, with growing pauses between. Never throws. */
export async function keepTrying(
  task: () => Promise<void>,
  options: Backoff & {
    readonly signal: AbortSignal;
    /** Told of each failure; `attempt` counts from 1. */
    readonly onFailure?: (thrown: unknown, attempt: number) => void;
  },
): Promise<void> {
  for (let attempt = 1; !options.signal.aborted; attempt++) {
    try {
      return await task();
    } catch (thrown) {
      if (!options.signal.aborted) options.onFailure?.(thrown, attempt);
    }
    await pause(delayMs(options, attempt), options.signal);
  }
}

/**
 * Runs `task` until it does not throw, with growing pauses between.
 * @throws what the last try threw, once `timeoutMs` are over (a try that is under way then is waited for) or `isFinal`
 * says that no other try would end otherwise
 */
export async function persist<T>(
  task: () => Promise<T>,
  options: Backoff & {
    readonly timeoutMs: number;
    readonly isFinal?: (thrown: unknown) => boolean;
  },
): Promise<T> {
  const over = AbortSignal.timeout(options.timeoutMs);
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (thrown) {
      if (over.aborted || options.isFinal?.(thrown)) throw thrown;
    }
    await pause(delayMs(options, attempt), over);
  }
}
