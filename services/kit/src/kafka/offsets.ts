/** Where partitions begin and end, and where groups stand. */
import type { Cluster } from "./cluster.ts";
import type { Edges } from "./types.ts";

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
