/** Where partitions begin and end, and where groups stand. */
import { AppError } from "../errors.ts";
import type { Cluster } from "./cluster.ts";
import type { Lag } from "./types.ts";

/** First kept offset and the offset that the next record will get. */
export type Edges = { readonly earliest: number; readonly latest: number };

const EARLIEST = -2;
const LATEST = -1;

/**
 * The edges of partitions.
 * @throws an Error when a partition has no leader or its leader does not answer
 */
export async function findEdges(
  cluster: Cluster,
  topic: string,
  partitions: readonly number[],
): Promise<Map<number, Edges>> {
  const earliest = new Map<number, number>();
  const latest = new Map<number, number>();
  const byNode = Map.groupBy(partitions, (partition) => cluster.leaderOf(topic, partition));
  for (const [node, own] of byNode) {
    if (node < 0) throw new Error(`partitions ${own} of ${topic} have no leader`);
    const link = await cluster.link(node, "meta");
    for (const [timestamp, into] of [
      [EARLIEST, earliest],
      [LATEST, latest],
    ] as const) {
      const { responses } = await link.call("ListOffsets", {
        isolationLevel: 0,
        topics: [{ topic, partitions: own.map((partition) => ({ partition, timestamp })) }],
      });
      for (const { partition, offset } of responses.flatMap((answer) => answer.partitions)) {
        into.set(partition, Number(offset));
      }
    }
  }
  return new Map(
    partitions.map((partition) => [
      partition,
      { earliest: earliest.get(partition) ?? 0, latest: latest.get(partition) ?? 0 },
    ]),
  );
}

/**
 * Committed offsets of a group; -1 where it has none.
 * @throws an Error when its coordinator does not answer
 */
export async function findCommitted(
  cluster: Cluster,
  group: string,
  topic: string,
  partitions: readonly number[],
  purpose: string,
): Promise<Map<number, number>> {
  const link = await cluster.coordinator(group, purpose);
  const { responses } = await link.call("OffsetFetch", {
    groupId: group,
    topics: [{ topic, partitions: partitions.map((partition) => ({ partition })) }],
  });
  return new Map(
    responses.flatMap((answer) =>
      answer.partitions.map(({ partition, offset }) => [partition, Number(offset)] as const),
    ),
  );
}

/**
 * Lag of each partition of each group. A group that never committed is behind by all that is kept.
 * @throws AppError unavailable `log_unavailable`
 */
export async function readLag(
  cluster: Cluster,
  groups: Readonly<Record<string, readonly { readonly name: string }[]>>,
): Promise<Lag[]> {
  try {
    const topics = [...new Set(Object.values(groups).flatMap((list) => list.map((t) => t.name)))];
    await cluster.refresh(topics);
    const lags: Lag[] = [];
    for (const [group, list] of Object.entries(groups)) {
      for (const { name: topic } of list) {
        const count = cluster.countPartitions(topic);
        if (count === undefined) throw new Error(`topic ${topic} is not there`);
        const partitions = Array.from({ length: count }, (_, at) => at);
        const edges = await findEdges(cluster, topic, partitions);
        const committed = await findCommitted(cluster, group, topic, partitions, "meta");
        for (const [partition, { earliest, latest }] of edges) {
          const at = Math.max(committed.get(partition) ?? -1, earliest);
          lags.push({ group, topic, partition, lag: Math.max(0, latest - at) });
        }
      }
    }
    return lags;
  } catch (thrown) {
    throw new AppError("unavailable", "log_unavailable", "The log did not answer in time.", {
      cause: thrown,
    });
  }
}
