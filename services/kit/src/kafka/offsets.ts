/** Where partitions begin and end, and where groups stand. */
import type { Cluster } from "./cluster.ts";
import { createEpochEnd } from "./epoch-end.ts";
import type { Edges } from "./types.ts";

/** A place in a partition: where reading goes on, and what tells whether the partition is still the one that was read. */
export type Position = {
  readonly offset: number;
  /** Leader epoch of records that were read, of one before `offset` or later; undefined: not known. */
  readonly epoch?: number | undefined;
  /** ms since 1970: records that are not done were written then or later, by the clocks of those who wrote; undefined: not known. */
  readonly timeMs?: number | undefined;
};

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
  const { edges, failure } = await findKnownEdges(cluster, topic, partitions);
  if (failure !== undefined) throw failure;
  return edges;
}

/** The edges of those partitions whose leaders answer; `failure` says why one is missing. Never throws. */
export async function findKnownEdges(
  cluster: Cluster,
  topic: string,
  partitions: readonly number[],
): Promise<{ edges: Map<number, Edges>; failure: unknown }> {
  const edges = new Map<number, Edges>();
  let failure: unknown;
  const byNode = Map.groupBy(partitions, (partition) => cluster.leaderOf(topic, partition));
  for (const [node, own] of byNode) {
    try {
      if (node < 0) throw new Error(`partitions ${own} of ${topic} have no leader`);
      const earliest = await listOffsets(cluster, node, topic, own, EARLIEST);
      const latest = await listOffsets(cluster, node, topic, own, LATEST);
      for (const partition of own) {
        const [first, end] = [earliest.get(partition), latest.get(partition)];
        if (typeof first === "number" && typeof end === "number") {
          edges.set(partition, { earliest: first, latest: end });
        } else {
          failure = (first ?? end) as unknown;
        }
      }
    } catch (thrown) {
      failure = thrown;
    }
  }
  return { edges, failure };
}

/**
 * Offset of the first record that was written at `timeMs` or later, by the clock of its producer; -1: there is none.
 * @throws an Error when the leader does not answer
 */
export async function findOffsetAt(
  cluster: Cluster,
  topic: string,
  partition: number,
  timeMs: number,
): Promise<number> {
  const node = cluster.leaderOf(topic, partition);
  const found = (await listOffsets(cluster, node, topic, [partition], timeMs)).get(partition);
  if (typeof found !== "number") throw found;
  return found;
}

/**
 * The end of the records of a leader epoch and those before it: what lies behind is of later leaders. -1: the leader does not
 * know of the epoch, so what was read in it is not in this log.
 * @throws an Error when the leader does not answer
 */
export async function findEpochEnd(
  cluster: Cluster,
  topic: string,
  partition: number,
  epoch: number,
): Promise<number> {
  const link = await cluster.link(cluster.leaderOf(topic, partition), "meta");
  const { code, endOffset } = await link.send(createEpochEnd(topic, partition, epoch));
  if (code !== 0) throw new Error(`the broker refused to say where epoch ${epoch} ends: ${code}`);
  return endOffset;
}

/** Offsets by partition; an Error for a partition that the broker refused. */
async function listOffsets(
  cluster: Cluster,
  node: number,
  topic: string,
  partitions: readonly number[],
  timestamp: number,
): Promise<Map<number, number | Error>> {
  const link = await cluster.link(node, "meta");
  const { responses } = await link.call(
    "ListOffsets",
    {
      isolationLevel: 0,
      topics: [{ topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }],
    },
    { lenient: true },
  );
  const found = responses.flatMap((answer) => answer.partitions);
  return new Map(
    found.map(({ partition, errorCode, offset }) => [
      partition,
      errorCode === 0
        ? Number(offset)
        : new Error(`the broker refused the offsets of ${topic} ${partition}: error ${errorCode}`),
    ]),
  );
}

/**
 * Committed positions of a group; offset -1 where it has none.
 * @throws an Error when its coordinator does not answer
 */
export async function findCommitted(
  cluster: Cluster,
  group: string,
  topic: string,
  partitions: readonly number[],
  purpose: string,
): Promise<Map<number, Position>> {
  const link = await cluster.coordinator(group, purpose);
  const { responses } = await link.call("OffsetFetch", {
    groupId: group,
    topics: [{ topic, partitions: partitions.map((partition) => ({ partition })) }],
  });
  return new Map(
    responses.flatMap((answer) =>
      answer.partitions.map(
        ({ partition, offset, metadata }) =>
          [partition, { offset: Number(offset), ...parseNote(metadata) }] as const,
      ),
    ),
  );
}

/** What is committed beside an offset, as text: `epoch=3 time=1763750000000`. */
export function formatNote({ epoch, timeMs }: Position): string {
  const parts: string[] = [];
  if (epoch !== undefined) parts.push(`epoch=${epoch}`);
  if (timeMs !== undefined) parts.push(`time=${timeMs}`);
  return parts.join(" ");
}

/** Reads `formatNote` back; members are undefined where others wrote something else. */
function parseNote(text: string | null): Pick<Position, "epoch" | "timeMs"> {
  const numberOf = (name: string) => {
    const found = new RegExp(`(?:^| )${name}=(\\d{1,15})(?: |$)`).exec(text ?? "")?.[1];
    return found === undefined ? undefined : Number(found);
  };
  return { epoch: numberOf("epoch"), timeMs: numberOf("time") };
}
