/** Publishes that are not answered yet: how much they hold, what is known of them, and how each ends, once. */
import type { AppError } from "../errors.ts";
import { recordBytes } from "./batch.ts";
import { full, recordTooLarge, unavailable, unsure } from "./publish-errors.ts";
import type { Prepared } from "./record.ts";
import type { TopicSizes } from "./types.ts";

/** One publish: done when every record of it is acknowledged, failed when the first is given up. */
export type Call = {
  settled: boolean;
  /** Whether its records of one partition must be kept together. */
  readonly atomic: boolean;
  /** In ms of `performance.now()`. */
  readonly deadline: number;
  readonly count: number;
  readonly bytes: number;
  /** Records that are not acknowledged. */
  left: number;
  /** Records that a broker has, or may have: acknowledged, on the wire, or sent without an answer. */
  exposed: number;
  readonly resolve: () => void;
  readonly reject: (error: AppError) => void;
};

/** All calls of a producer, within bounds. */
export type Calls = {
  /** Resolves when nothing is unanswered. */
  whenEmpty(): Promise<void>;
  /**
   * Takes records of one topic in; `enqueue` is called with the call before this returns.
   * @throws AppError unavailable `log_full`; invalid_argument `record_too_large`. Nothing was taken in then
   */
  open(
    records: readonly Prepared[],
    sizes: TopicSizes,
    atomic: boolean,
    enqueue: (call: Call) => void,
  ): Promise<void>;
  /** `count` more of its records are kept. */
  acknowledge(call: Call, count: number): void;
  /**
   * Ends a call whose records were not acknowledged: `log_unsure` when a broker may have one of them, else
   * `log_unavailable`. Ending a second time changes nothing.
   * @returns the reason
   */
  fail(call: Call, cause: unknown): string;
  /** Ends a call with the error; an atomic one as `fail` does when a broker may have a record of it. */
  refuse(call: Call, error: AppError): string;
};

/** No calls yet. `timeoutMs` is how long each may take. */
export function createCalls(bounds: {
  readonly timeoutMs: number;
  readonly bufferRecordsMax: number;
  readonly bufferBytesMax: number;
}): Calls {
  let heldRecords = 0;
  let heldBytes = 0;
  let onEmpty: (() => void)[] = [];

  return {
    async whenEmpty() {
      if (heldRecords > 0) await new Promise<void>((resolve) => onEmpty.push(resolve));
    },
    open,
    acknowledge(call, count) {
      call.left -= count;
      if (call.left === 0 && end(call)) call.resolve();
    },
    fail(call, cause) {
      return reject(call, call.exposed > 0 ? unsure(cause) : unavailable(cause));
    },
    refuse(call, error) {
      return reject(call, call.atomic && call.exposed > 0 ? unsure(error) : error);
    },
  };

  function open(
    records: readonly Prepared[],
    sizes: TopicSizes,
    atomic: boolean,
    enqueue: (call: Call) => void,
  ): Promise<void> {
    const count = records.length;
    let bytes = 0;
    for (const record of records) {
      const size = recordBytes(record);
      if (size > sizes.recordBytesMax) return Promise.reject(recordTooLarge());
      bytes += size;
    }
    if (
      heldRecords + count > bounds.bufferRecordsMax ||
      heldBytes + bytes > bounds.bufferBytesMax
    ) {
      return Promise.reject(full());
    }
    heldRecords += count;
    heldBytes += bytes;
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + bounds.timeoutMs;
      enqueue({
        settled: false,
        atomic,
        deadline,
        count,
        bytes,
        left: count,
        exposed: 0,
        resolve,
        reject,
      });
    });
  }

  function reject(call: Call, error: AppError): string {
    if (end(call)) call.reject(error);
    return error.reason;
  }

  function end(call: Call): boolean {
    if (call.settled) return false;
    call.settled = true;
    heldRecords -= call.count;
    heldBytes -= call.bytes;
    if (heldRecords === 0) {
      for (const resolve of onEmpty) resolve();
      onEmpty = [];
    }
    return true;
  }
}
