/** What becomes of one chunk: the handler's answers acted upon, again and again, until every record has its fate. */
import { delayMs } from "../backoff.ts";
import { AppError, STATUS } from "../errors.ts";
import type { Log } from "../log.ts";
import type { FetchedRecord } from "./batch.ts";
import type { Outcome } from "./outcome.ts";

/** A record with its value; `value` undefined: it could not be decoded. */
export type Entry<Value> = { readonly record: FetchedRecord; readonly value: Value | undefined };

/** What settling needs. */
export type SettleOptions<Value> = {
  /** Runs the handler on some of the entries, in order. */
  readonly run: (entries: readonly Entry<Value>[]) => Promise<readonly Outcome[]>;
  /** Keeps a record in the dead letter, without its value when that is too large for it. */
  readonly bury: (record: FetchedRecord, reason: string) => Promise<void>;
  /** Waits so long, or until the signal aborts. */
  readonly pause: (ms: number) => Promise<void>;
  /** Aborts when the partition is given up: what is running is finished, nothing new begins. */
  readonly signal: AbortSignal;
  readonly onOutcome: (outcome: Outcome["kind"], reason: string) => void;
  readonly log: Log;
};

const RETRY = { firstMs: 100, mostMs: 5_000 };
/** Tries between two log lines about the same chunk. */
const LOG_EVERY = 10;

/**
 * Settles entries of one partition, in order.
 * - The handler throws with verdict `retry`: all of them again after a pause, for as long as it takes; from the second time
 *   on in parts, each half as large as the last (down to one record), which double again as they are done.
 * - It throws with verdict `dead`: again one by one; those that still throw so are buried.
 * - It answers `retry` for some: those again after a pause, and with them what follows them under the same key.
 * @returns how many from the first on are settled: all, unless the signal aborted
 */
export async function settle<Value>(
  entries: readonly Entry<Value>[],
  { run, bury, pause, signal, onOutcome, log }: SettleOptions<Value>,
): Promise<number> {
  const settled = new Set<Entry<Value>>();
  const decoded: Entry<Value>[] = [];
  for (const entry of entries) {
    if (entry.value !== undefined) decoded.push(entry);
    else if (entry.record.value === null) skip(entry);
    else if (!(await kill(entry, "undecodable"))) return count();
  }
  await settleSome(decoded);
  return count();

  function count(): number {
    const first = entries.findIndex((entry) => !settled.has(entry));
    return first < 0 ? entries.length : first;
  }

  /** A tombstone says that a key is gone: nothing to work on. */
  function skip(entry: Entry<Value>): void {
    onOutcome("drop", "tombstone");
    settled.add(entry);
  }

  async function settleSome(some: readonly Entry<Value>[]): Promise<void> {
    let todo = some;
    /** Entries given to the handler at once: fewer while it fails, for what is too slow as a whole may work in parts. */
    let limit = some.length;
    /** A part of this size failed after smaller ones were done. */
    let tooMany = Number.POSITIVE_INFINITY;
    let hasGrown = false;
    for (let attempt = 1; todo.length > 0 && !signal.aborted; attempt++) {
      const part = todo.slice(0, limit);
      const rest = todo.slice(limit);
      let outcomes: readonly Outcome[];
      try {
        outcomes = await run(part);
        if (outcomes.length !== part.length) {
          throw new AppError("internal", "outcomes_missing", "The handler left records out.");
        }
      } catch (thrown) {
        const error = AppError.from(thrown);
        const again = STATUS[error.code].record === "retry";
        if (again || part.length > 1)
          say(again ? "log.chunk_waits" : "log.chunk_split", part, error, attempt);
        if (again) {
          onOutcome("retry", error.reason);
          if (hasGrown) tooMany = part.length;
          if (hasGrown || attempt > 1) limit = Math.max(1, part.length >> 1);
          hasGrown = false;
          await pause(
            Math.max(delayMs(RETRY, attempt), Math.min(error.retryAfterMs ?? 0, RETRY.mostMs)),
          );
          continue;
        }
        if (part.length > 1) {
          for (const one of part) {
            await settleSome([one]);
            if (!settled.has(one)) return; // given up meanwhile
          }
          todo = rest;
          attempt = 0;
          continue;
        }
        log.error("log.record_dead", {
          reason: error.reason,
          offset: part[0]?.record.offset,
          error,
        });
        outcomes = [{ kind: "dead", reason: error.reason }];
      }
      const left = await act(part, outcomes);
      todo = [...left, ...rest];
      if (left.length > 0) {
        say("log.chunk_waits", left, undefined, attempt);
        await pause(delayMs(RETRY, attempt));
      } else {
        hasGrown = limit * 2 < tooMany;
        if (hasGrown) limit *= 2;
        attempt = 0;
      }
    }

    function say(msg: string, about: readonly Entry<Value>[], error: unknown, attempt: number) {
      if (attempt % LOG_EVERY !== 1) return;
      log.warn(msg, { count: about.length, offset: about[0]?.record.offset, attempt, error });
    }
  }

  /** Acts on answers; returns the entries that come again. */
  async function act(
    todo: readonly Entry<Value>[],
    outcomes: readonly Outcome[],
  ): Promise<Entry<Value>[]> {
    const again: Entry<Value>[] = [];
    const heldKeys = new Set<string>();
    for (const [at, entry] of todo.entries()) {
      const outcome = outcomes[at] as Outcome; // as many as entries: checked
      const key = entry.record.key?.toString("latin1") ?? "";
      if (outcome.kind === "retry" || heldKeys.has(key)) {
        onOutcome("retry", outcome.kind === "retry" ? outcome.reason : "behind_retry");
        heldKeys.add(key);
        again.push(entry);
      } else if (outcome.kind === "dead") {
        if (!(await kill(entry, outcome.reason))) return [];
      } else {
        onOutcome(outcome.kind, outcome.kind === "drop" ? outcome.reason : "");
        settled.add(entry);
      }
    }
    return again;
  }

  /**
   * Buries a record, however long the broker is unavailable; false when it was not kept before the signal aborted. Size is
   * no reason to wait: `bury` leaves a value out that is too large.
   */
  async function kill(entry: Entry<Value>, reason: string): Promise<boolean> {
    for (let attempt = 1; attempt === 1 || !signal.aborted; attempt++) {
      try {
        await bury(entry.record, reason);
        onOutcome("dead", reason);
        settled.add(entry);
        return true;
      } catch (thrown) {
        if (attempt % LOG_EVERY === 1)
          log.error("log.dead_letter_failed", { reason, error: thrown });
        await pause(delayMs(RETRY, attempt));
      }
    }
    return false;
  }
}
