/**
 * How much the gateway takes on at once. A request that would wait too long for the log is refused at once instead:
 * by Little's law the wait is the number that waits over the rate at which the log answers, so the bound on the number
 * follows the measured rate. Bodies in memory have a bound of their own, in bytes.
 */
import { AppError } from "@headgate/kit/errors";

/** The bounds and what is held against them. */
export type Load = {
  /** Whether new requests are to be refused now. */
  isFull(): boolean;
  /**
   * Resolves within 100 ms, for all who wait at once: refusals are answered then. Senders who come again at once would
   * otherwise eat, with their refusals, the time that the accepted need.
   */
  pause(): Promise<void>;
  /** A request starts to wait for the log. @throws AppError unavailable `overloaded` */
  enter(): void;
  /** It waits no more; `isKept`: the log has it. */
  leave(isKept: boolean): void;
  /** Takes room for a body. @throws AppError unavailable `overloaded` */
  reserve(bytes: number): void;
  release(bytes: number): void;
  /** Requests that wait for the log, and bytes of bodies. */
  readonly waiting: number;
  readonly bodyBytes: number;
  /** Requests that may wait now. */
  readonly limit: number;
};

/** The wait for the log that we let build up, in ms. */
const WAIT_MS = 50;
/** Requests that may wait whatever the rate: a short absence of the log at low rates refuses nobody. */
const WAITING_MIN = 512;
/** Bytes of bodies held at once. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** ms over which the rate is measured. */
const WINDOW_MS = 250;
/** ms between two moments at which refusals are answered. */
const PAUSE_MS = 100;
/** Slack of those that were let in before the bound was met. */
const SLACK = 2;

/** Makes the bounds. */
export function createLoad({ now = () => performance.now() }: { now?: () => number } = {}): Load {
  let waiting = 0;
  let bodyBytes = 0;
  let kept = 0;
  let windowAt = now();
  let perMs = 0;
  let limit = WAITING_MIN;
  let pausing: Promise<void> | undefined;

  return {
    isFull: () => waiting >= limit || bodyBytes >= BODY_BYTES_MAX,
    pause() {
      pausing ??= new Promise((resolve) => {
        setTimeout(() => {
          pausing = undefined;
          resolve();
        }, PAUSE_MS);
      });
      return pausing;
    },
    enter() {
      if (waiting >= limit * SLACK) throw overloaded();
      waiting += 1;
    },
    leave(isKept) {
      waiting -= 1;
      if (isKept) kept += 1;
      const spentMs = now() - windowAt;
      if (spentMs < WINDOW_MS) return;
      perMs = perMs / 2 + kept / spentMs / 2;
      limit = Math.max(WAITING_MIN, Math.ceil(perMs * WAIT_MS));
      kept = 0;
      windowAt += spentMs;
    },
    reserve(bytes) {
      if (bodyBytes + bytes > BODY_BYTES_MAX) throw overloaded();
      bodyBytes += bytes;
    },
    release(bytes) {
      bodyBytes -= bytes;
    },
    get waiting() {
      return waiting;
    },
    get bodyBytes() {
      return bodyBytes;
    },
    get limit() {
      return limit;
    },
  };
}

/**
 * What a request is told that is not taken on. Made once: under overload this is the commonest answer, and the stack
 * trace of a new error each time would cost as much as the answer itself.
 */
const OVERLOADED = new AppError(
  "unavailable",
  "overloaded",
  "Too many requests are waiting. Try again soon.",
  { retryAfterMs: 1000 },
);

/** The refusal for load. */
export function overloaded(): AppError {
  return OVERLOADED;
}
