/** A partition that is read. Each has failures of its own, so that one that fails does not slow down the others. */
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import { explainDenied, isDenied } from "./codes.ts";
import type { Position } from "./offsets.ts";

/** Where reading of one partition is. */
export type Cursor = {
  offset: number;
  epoch: number | undefined;
  timeMs: number | undefined;
  /** The last answer about it was no failure. */
  isAnswered: boolean;
  /** The broker refuses it for a reason that does not pass by itself. */
  isDenied: boolean;
  /** In a row. */
  failures: number;
  /** By `performance.now()`: not to be asked for before. */
  retryAt: number;
};

const RETRY = { firstMs: 20, mostMs: 1_000 };
/** ms between tries of what the broker refuses until its settings are changed. */
const DENIED_RETRY_MS = 30_000;
/** Failures in a row between two log lines. */
const LOG_EVERY = 20;

/** Begins at a position; may be asked for at once. */
export function createCursor({ offset, epoch, timeMs }: Position): Cursor {
  return { offset, epoch, timeMs, isAnswered: false, isDenied: false, failures: 0, retryAt: 0 };
}

/** A broker's refusal of one partition. */
export class Refused extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`the broker refused a fetch with error ${code}`);
    this.code = code;
  }
}

/** Counts a failure and logs it, the first of a row and every twentieth. @returns ms until the next try */
export function noteFailure(cursor: Cursor, thrown: unknown, log: Log): number {
  cursor.isAnswered = false;
  cursor.failures++;
  const isLogged = cursor.failures % LOG_EVERY === 1;
  let waitMs = delayMs(RETRY, cursor.failures);
  if (thrown instanceof Refused && isDenied(thrown.code)) {
    waitMs = DENIED_RETRY_MS;
    const { code } = thrown;
    if (isLogged || !cursor.isDenied) {
      log.error("log.access_denied", { code, hint: explainDenied(code) });
    }
    cursor.isDenied = true;
  } else if (isLogged) {
    log.warn("log.fetch_failed", { error: thrown });
  }
  cursor.retryAt = performance.now() + waitMs;
  return waitMs;
}

/** The list, begun at another place each turn. */
export function rotate<T>(list: readonly T[], turn: number): T[] {
  const at = list.length === 0 ? 0 : turn % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
