/** What waits and what is under way for one partition, in the order it was handed in. */
import { encodeBatch, recordBytes } from "./batch.ts";
import type { Call } from "./calls.ts";
import type { Prepared } from "./record.ts";

/** A record and whom to tell. */
export type Pending = { readonly record: Prepared; readonly call: Call };

/** Records that were given sequence numbers together; tried again as the very same bytes. */
export type Batch = {
  readonly lane: Lane;
  readonly records: readonly Pending[];
  readonly bytes: Buffer;
  readonly order: number;
  readonly deadline: number;
};

/** One partition. While `failed` holds anything, nothing new goes out: order within the partition is kept. */
export type Lane = {
  readonly topic: string;
  readonly partition: number;
  readonly waiting: Pending[];
  /** On the wire to `node`, in order. */
  readonly sent: Batch[];
  /** To be sent again, in order, once nothing is on the wire. */
  readonly failed: Batch[];
  node: number;
  /** Sequence number of the next record; numbers wrap at 2^31. */
  sequence: number;
  /** Batches cut so far. */
  order: number;
  /** Failures in a row. */
  attempt: number;
  retryAt: number;
};

/** An empty lane. */
export function createLane(topic: string, partition: number): Lane {
  return {
    topic,
    partition,
    waiting: [],
    sent: [],
    failed: [],
    node: -1,
    sequence: 0,
    order: 0,
    attempt: 0,
    retryAt: 0,
  };
}

/** Bounds of one batch. A single record may be larger than `bytesMax`. */
export type BatchBounds = { readonly recordsMax: number; readonly bytesMax: number };

/** Takes waiting records into a batch; undefined when all that waited were given up by their callers. */
export function cutBatch(
  lane: Lane,
  producer: { readonly id: bigint; readonly epoch: number },
  bounds: BatchBounds,
  now: number,
): Batch | undefined {
  const records: Pending[] = [];
  let bytes = 0;
  let taken = 0;
  for (const pending of lane.waiting) {
    if (!pending.call.settled) {
      const size = recordBytes(pending.record);
      if (records.length > 0 && bytes + size > bounds.bytesMax) break;
      if (records.length >= bounds.recordsMax) break;
      records.push(pending);
      bytes += size;
    }
    taken++;
  }
  lane.waiting.splice(0, taken);
  const first = records[0];
  if (!first) return undefined;
  const batch = {
    lane,
    records,
    bytes: encodeBatch(
      records.map(({ record }) => record),
      producer,
      lane.sequence,
      now,
    ),
    order: lane.order++,
    deadline: first.call.deadline, // handed in first, so it ends first
  };
  lane.sequence = (lane.sequence + records.length) % 2 ** 31;
  return batch;
}

/** Puts a batch among those to be sent again, where it belongs. */
export function fail(batch: Batch): void {
  const { failed } = batch.lane;
  let at = failed.length;
  while (at > 0 && (failed[at - 1] as Batch).order > batch.order) at--; // at - 1 is in the list
  failed.splice(at, 0, batch);
}

/** Whether nothing of the lane that went out before the batch is still without an answer, or waits to go out again. */
export function isFirst(batch: Batch): boolean {
  const { sent, failed } = batch.lane;
  return sent[0] === batch && !failed.some((other) => other.order < batch.order);
}
