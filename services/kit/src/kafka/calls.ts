/** Publishes that are not answered yet: how much they hold, and how each ends, once. */
import { AppError } from "../errors.ts";
import { recordBytes } from "./batch.ts";
import type { Prepared } from "./record.ts";
import type { TopicSizes } from "./types.ts";

/** One publish: done when every record of it is, failed when the first is. */
export type Call = {
  readonly settled: boolean;
  /** ms since 1970. */
  readonly deadline: number;
  /** One more record of it is kept. */
  acknowledge(): void;
  /** Ends it; a second time changes nothing. */
  reject(error: Error): void;
};

/** All calls of a producer, within bounds. */
export type Calls = {
  /** Whether nothing is unanswered. */
  readonly isEmpty: boolean;
  /** Resolves when nothing is unanswered. */
  whenEmpty(): Promise<void>;
  /**
   * Takes records of one topic in; `enqueue` is called with the call before this returns.
   * @throws AppError unavailable `log_full`; invalid_argument `record_too_large`. Nothing was taken in then
   */
  open(
    records: readonly Prepared[],
    sizes: TopicSizes,
    enqueue: (call: Call) => void,
  ): Promise<void>;
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
    get isEmpty() {
      return heldRecords === 0;
    },
    async whenEmpty() {
      if (heldRecords > 0) await new Promise<void>((resolve) => onEmpty.push(resolve));
    },
    open,
  };

  function open(
    records: readonly Prepared[],
    sizes: TopicSizes,
    enqueue: (call: Call) => void,
  ): Promise<void> {
    const count = records.length;
    let bytes = 0;
    for (const record of records) {
      const size = recordBytes(record);
      if (size > sizes.recordBytesMax) return Promise.reject(tooLarge());
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
      let left = count;
      let settled = false;
      enqueue({
        get settled() {
          return settled;
        },
        deadline: Date.now() + bounds.timeoutMs,
        acknowledge() {
          if (--left === 0 && end()) resolve();
        },
        reject(error) {
          if (end()) reject(error);
        },
      });

      function end(): boolean {
        if (settled) return false;
        settled = true;
        release(count, bytes);
        return true;
      }
    });
  }

  function release(count: number, bytes: number): void {
    heldRecords -= count;
    heldBytes -= bytes;
    if (heldRecords > 0) return;
    for (const resolve of onEmpty) resolve();
    onEmpty = [];
  }
}

/** The log did not say in time that it has the records. */
export function unavailable(cause: unknown): AppError {
  return new AppError("unavailable", "log_unavailable", "The log did not answer in time.", {
    cause,
    retryAfterMs: 1_000,
  });
}

/** The reason of `tooLarge`. */
export const RECORD_TOO_LARGE = "record_too_large";

/** The topic does not take a record of this size. */
export function tooLarge(): AppError {
  return new AppError("invalid_argument", RECORD_TOO_LARGE, "The event is too large to be kept.");
}

function full(): AppError {
  return new AppError("unavailable", "log_full", "The log cannot take more right now.", {
    retryAfterMs: 1_000,
  });
}
