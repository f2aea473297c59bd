/** What waits and what is under way for one partition, in the order it was handed in. */
import { encodeBatch } from "./batch.ts";
import type { Call } from "./calls.ts";
import type { Prepared } from "./record.ts";

/** Records of one call for one partition. One batch takes all of them, so that they are kept together or not at all. */
export type Group = {
  readonly call: Call;
  readonly records: readonly Prepared[];
  /** Bytes in a batch, at most. */
  readonly bytes: number;
};

/** Groups whose records were given sequence numbers together. */
export type Batch = {
  readonly lane: Lane;
  readonly groups: readonly Group[];
  readonly count: number;
  readonly bytes: Buffer;
  /** Sequence number of its first record. */
  readonly sequence: number;
  readonly order: number;
  /** When the last of its calls ends, in ms of `performance.now()`. */
  readonly deadline: number;
  /** It was handed to a connection, and no broker refused it since: its calls count it as exposed. */
  exposed: boolean;
  /**
   * It was sent at least once without a clear answer: the broker may have it. It can only be sent again as the same bytes,
   * and its numbers can be given to nothing else.
   */
  unsure: boolean;
};

/** One partition. While `failed` holds anything, nothing new goes out: order within the partition is kept. */
export type Lane = {
  readonly topic: string;
  readonly partition: number;
  readonly waiting: Group[];
  /** On the way to `node` or on its wire, in order. */
  readonly sent: Batch[];
  /** To be sent again as they are, in order, once nothing is on the wire. */
  readonly failed: Batch[];
  node: number;
  /** When the last batch went out, in ms of `performance.now()`. */
  sentAt: number;
  /** Bytes of a batch that gathers several groups; one group may be larger. */
  bytesMax: number;
  /** Sequence number of the next record; numbers wrap at 2^31. */
  sequence: number;
  /** Batches cut so far. */
  order: number;
  /** Failures in a row. */
  attempt: number;
  /** Nothing goes out before, in ms of `performance.now()`. */
  retryAt: number;
};

/** An empty lane. */
export function createLane(topic: string, partition: number, bytesMax: number): Lane {
  return {
    topic,
    partition,
    waiting: [],
    sent: [],
    failed: [],
    node: -1,
    sentAt: 0,
    bytesMax,
    sequence: 0,
    order: 0,
    attempt: 0,
    retryAt: 0,
  };
}

/**
 * Takes waiting groups into a batch: the first, and those after it as far as `recordsMax` and the lane's bytes allow.
 * @returns undefined when all that waited have ended
 */
export function cutBatch(
  lane: Lane,
  producer: { readonly id: bigint; readonly epoch: number },
  recordsMax: number,
): Batch | undefined {
  const groups: Group[] = [];
  let bytes = 0;
  let count = 0;
  let taken = 0;
  let deadline = 0;
  for (const group of lane.waiting) {
    if (!group.call.settled) {
      const isFull =
        bytes + group.bytes > lane.bytesMax || count + group.records.length > recordsMax;
      if (groups.length > 0 && isFull) break;
      groups.push(group);
      bytes += group.bytes;
      count += group.records.length;
      deadline = Math.max(deadline, group.call.deadline);
    }
    taken++;
  }
  lane.waiting.splice(0, taken);
  const [first] = groups;
  if (!first) return undefined;
  const records = groups.length === 1 ? first.records : groups.flatMap((group) => group.records);
  const { sequence } = lane;
  lane.sequence = (sequence + count) % 2 ** 31;
  return {
    lane,
    groups,
    count,
    bytes: encodeBatch(records, producer, sequence, Date.now()),
    sequence,
    order: lane.order++,
    deadline,
    exposed: false,
    unsure: false,
  };
}

/** Puts a batch among those to be sent again, where it belongs. */
export function fail(batch: Batch): void {
  const { failed } = batch.lane;
  let at = failed.length;
  while (at > 0 && (failed[at - 1] as Batch).order > batch.order) at--; // at - 1 is in the list
  failed.splice(at, 0, batch);
}

/**
 * Takes apart the batches that no broker has, so that their groups wait again and their numbers are given anew: only those
 * behind which nothing else holds numbers. To be called when nothing of the lane is on the wire.
 */
export function takeBack(lane: Lane): void {
  for (let batch = lane.failed.at(-1); batch && !batch.unsure; batch = lane.failed.at(-1)) {
    lane.failed.pop();
    lane.waiting.unshift(...batch.groups);
    lane.sequence = batch.sequence;
  }
}

/** Whether nothing of the lane that went out before the batch is still without an answer, or waits to go out again. */
export function isFirst(batch: Batch): boolean {
  const { sent, failed } = batch.lane;
  return sent[0] === batch && !failed.some((other) => other.order < batch.order);
}

/** Counts the records of a batch as exposed: from now on a broker may have them. */
export function expose(batch: Batch): void {
  if (batch.exposed) return;
  batch.exposed = true;
  for (const { call, records } of batch.groups) call.exposed += records.length;
}

/** A broker refused a batch that no broker had before: none has it. */
export function unexpose(batch: Batch): void {
  if (!batch.exposed) return;
  batch.exposed = false;
  for (const { call, records } of batch.groups) call.exposed -= records.length;
}
