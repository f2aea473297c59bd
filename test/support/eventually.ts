/**
 * Waiting for what will be so in a moment: polling with a deadline instead of a sleep. The deadline ends a wait for what
 * never comes; it measures nothing, so it is far beyond what a busy machine needs.
 */
import { setTimeout as sleep } from "node:timers/promises";

const POLL_FIRST_MS = 5;
const POLL_MOST_MS = 200;

/**
 * Runs `check` until it neither throws nor returns false, and returns what it returned: 0 and "" count as an answer.
 * @throws what the last try threw, or an Error saying that it stayed false, after `timeoutMs` (30 s)
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  options: { timeoutMs?: number } = {},
): Promise<Exclude<T, false>> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const deadline = Date.now() + timeoutMs;
  let failure: unknown;
  for (let pauseMs = POLL_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, POLL_MOST_MS)) {
    try {
      const value = await check();
      if (value !== false) return value as Exclude<T, false>; // checked just now
      failure = new Error(`it was still false after ${timeoutMs} ms`);
    } catch (thrown) {
      failure = thrown;
    }
    if (Date.now() + pauseMs > deadline) throw failure;
    await sleep(pauseMs);
  }
}
