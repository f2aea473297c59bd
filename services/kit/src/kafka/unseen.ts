/** Where to go on in a partition that was rolled back: what was read is not all in it any more. */
import type { Cluster } from "./cluster.ts";
import { findEpochEnd, findOffsetAt, type Position } from "./offsets.ts";

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
export async function findUnseen(
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
