/** How far groups are behind: in records, and since when. */
import { AppError } from "../errors.ts";
import { decodeBatches } from "./batch.ts";
import type { Cluster } from "./cluster.ts";
import { createFetch } from "./fetch.ts";
import { findCommitted, findKnownEdges } from "./offsets.ts";
import { persist } from "./pause.ts";
import type { Lag } from "./types.ts";

/** A leader that is just moving is asked again; people wait for the answer. */
const RETRY = { firstMs: 50, mostMs: 500, timeoutMs: 2_000 };
/** Bytes asked for to see one record: a broker gives the first batch whole all the same. */
const PEEK_BYTES = 1;

/**
 * Lag of each partition of each group, by committed offsets. A group that never committed is behind by all that is kept.
 * A partition whose leader does not answer in time is left out; `oldestMs` is absent where the record cannot be read.
 * @throws AppError unavailable `log_unavailable` when nothing answers
 */
export async function readLag(
  cluster: Cluster,
  groups: Readonly<Record<string, readonly { readonly name: string }[]>>,
): Promise<Lag[]> {
  const topics = [...new Set(Object.values(groups).flatMap((list) => list.map((t) => t.name)))];
  let known: Lag[] = [];
  try {
    return await persist(async () => {
      await cluster.refresh(topics);
      const lags: Lag[] = [];
      let failure: unknown;
      for (const [group, list] of Object.entries(groups)) {
        for (const { name } of list) {
          const read = await readGroupLag(cluster, group, name);
          lags.push(...read.lags);
          failure ??= read.failure;
        }
      }
      known = lags;
      if (failure !== undefined) throw failure;
      return lags;
    }, RETRY);
  } catch (thrown) {
    if (known.length > 0) return known;
    throw new AppError("unavailable", "log_unavailable", "The log did not answer in time.", {
      cause: thrown,
    });
  }
}

/** `failure` says why a partition is missing. */
async function readGroupLag(
  cluster: Cluster,
  group: string,
  topic: string,
): Promise<{ lags: Lag[]; failure: unknown }> {
  const count = cluster.countPartitions(topic);
  if (count === undefined) throw cluster.whyUnknown(topic);
  const partitions = Array.from({ length: count }, (_, at) => at);
  const { edges, failure } = await findKnownEdges(cluster, topic, partitions);
  const committed = await findCommitted(cluster, group, topic, partitions, "meta");
  const lags = await Promise.all(
    [...edges].map(async ([partition, { earliest, latest }]) => {
      const at = Math.max(committed.get(partition)?.offset ?? -1, earliest);
      const lag = Math.max(0, latest - at);
      // A record that cannot be read (its batch is damaged) hides no lag.
      const oldestMs =
        lag > 0 ? await readTime(cluster, topic, partition, at).catch(() => undefined) : undefined;
      return { group, topic, partition, lag, oldestMs };
    }),
  );
  return { lags, failure };
}

/** When the first record at an offset or after it was written; undefined where there is none any more. */
async function readTime(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: number,
): Promise<number | undefined> {
  const link = await cluster.link(cluster.leaderOf(topic, partition), "meta");
  const bounds = { waitMs: 0, bytesMax: PEEK_BYTES, partBytesMax: PEEK_BYTES };
  const [part] = await link.send(createFetch(topic, [{ partition, offset }], bounds));
  return part && decodeBatches(part.bytes, offset).records[0]?.timestamp;
}
