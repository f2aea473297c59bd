/** Where to go on in a partition when the position is not in it, or not in it any more. */
import type { Cluster } from "./cluster.ts";
import { findEdges, findEpochEnd, findOffsetAt, type Position } from "./offsets.ts";

/** ms that clocks of producers may differ from one another. */
const CLOCK_MARGIN_MS = 60_000;

/**
 * The first offset whose record may not have been read; at most that of the position.
 * - By the leader epoch: where the records end of the leader that we read from last. Exact.
 * - Else by time: the first record written after the last one that is done, less a margin.
 * - Else 0: every record that is kept comes again.
 *
 * @throws an Error when the leader does not answer
 */
async function findUnseen(
  cluster: Cluster,
  topic: string,
  partition: number,
  { offset, epoch, timeMs }: Position,
): Promise<number> {
  if (epoch !== undefined) {
    const end = await findEpochEnd(cluster, topic, partition, epoch);
    if (end >= 0) return Math.min(offset, end);
  }
  if (timeMs !== undefined) {
    const found = await findOffsetAt(cluster, topic, partition, timeMs - CLOCK_MARGIN_MS);
    if (found >= 0) return Math.min(offset, found);
  }
  return 0;
}

/**
 * Where to go on when a position is not in the log, or not in this log, and the end of the partition. A group's first time
 * begins here, at 0. What was deleted by retention is passed over. Where the log was rolled back, reading goes back to the
 * first record that may not have been read.
 * @throws an Error when the leader does not answer
 */
export async function findWayOn(
  cluster: Cluster,
  topic: string,
  partition: number,
  position: Position,
): Promise<{ to: number; latest: number }> {
  const edges = (await findEdges(cluster, topic, [partition])).get(partition);
  if (!edges) throw new Error(`the edges of partition ${partition} are not known`);
  const { earliest, latest } = edges;
  if (position.offset < earliest) return { to: earliest, latest };
  const unseen = await findUnseen(cluster, topic, partition, position);
  return { to: Math.max(earliest, unseen), latest };
}
