/** Reads a topic in every process that asks, all partitions, committing nothing. No group is needed for that. */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import type { FetchedRecord } from "./batch.ts";
import { type Cluster, TopicUnknown } from "./cluster.ts";
import { explainDenied, isDenied } from "./codes.ts";
import { type Fetched, type Fetcher, openFetcher } from "./fetcher.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { findEdges, type Position } from "./offsets.ts";
import { pause } from "./pause.ts";
import type { Edges, Followed, Follower, FollowFrom, Topic } from "./types.ts";

const RETRY = { firstMs: 50, mostMs: 2_000 };
/** Failures in a row between two log lines. */
const LOG_EVERY = 20;
/**
 * ms without an answer after which a reader that can begins again: an hour, far below the day (`delete.retention.ms`) that a
 * compacted topic keeps its tombstones for those who have not read them yet.
 */
const RESTART_AFTER_MS = 3_600_000;

/** Starts following; keeps trying for ever while brokers are away. */
export function openFollower<Desc extends DescMessage>(options: {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly topic: Topic<Desc>;
  readonly from: FollowFrom;
  readonly purpose: string;
  readonly onRecords: (records: readonly Followed<Desc>[]) => void;
  /** Absent: reading never begins again. */
  readonly onRestart?: ((caughtUp: Promise<void>) => void) | undefined;
  /** ms without an answer of the broker after which reading begins again. */
  readonly restartAfterMs?: number | undefined;
}): Follower {
  const { cluster, log, metrics, topic, purpose, restartAfterMs = RESTART_AFTER_MS } = options;
  let { from } = options;
  const ended = new AbortController();
  /** Partition → the end it had when we began; those passed are taken out. */
  const ahead = new Map<number, number>();
  const began = Promise.withResolvers<ReadonlyMap<number, Edges>>();
  const first = Promise.withResolvers<void>();
  /** Resolves when the present reading has caught up. */
  let caughtUp = first;
  /** Partition → when the broker answered for it last. */
  const heard = new Map<number, { readonly atMs: number; readonly wallMs: number }>();
  let fetcher: Fetcher | undefined;

  void start();
  return {
    began: began.promise,
    caughtUp: first.promise,
    get ready() {
      return fetcher?.reading ?? false;
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      fetcher?.close();
    },
  };

  async function start(): Promise<void> {
    for (let attempt = 1; !ended.signal.aborted; attempt++) {
      try {
        await cluster.refresh([topic.name]);
        const count = cluster.countPartitions(topic.name);
        if (count === undefined) throw cluster.whyUnknown(topic.name);
        const partitions = Array.from({ length: count }, (_, at) => at);
        begin(await findEdges(cluster, topic.name, partitions));
        return;
      } catch (thrown) {
        const code = thrown instanceof TopicUnknown ? thrown.code : 0;
        if (isDenied(code) && attempt % LOG_EVERY === 1) {
          log.error("log.access_denied", { topic: topic.name, code, hint: explainDenied(code) });
        } else if (attempt === 1) {
          log.warn("log.follow_waits", { topic: topic.name, error: thrown });
        }
        await pause(delayMs(RETRY, attempt), ended.signal);
      }
    }
  }

  function begin(edges: ReadonlyMap<number, Edges>): void {
    if (ended.signal.aborted) return;
    const positions = new Map<number, Position>();
    for (const [partition, { earliest, latest }] of edges) {
      const first = firstOf(partition, earliest, latest);
      if (first === undefined) continue;
      positions.set(partition, { offset: first, timeMs: from === "now" ? Date.now() : undefined });
      if (first < latest) ahead.set(partition, latest);
    }
    began.resolve(edges);
    if (ahead.size === 0) caughtUp.resolve();
    const wants = () => true;
    fetcher = openFetcher({
      cluster,
      log,
      metrics,
      topic: topic.name,
      purpose,
      positions,
      wants,
      onFetched,
    });
  }

  /** Undefined: the partition is not read. */
  function firstOf(partition: number, earliest: number, latest: number): number | undefined {
    if (from === "start") return earliest;
    if (from === "now") return latest;
    const wanted = from.get(partition);
    return wanted === undefined ? undefined : Math.min(Math.max(wanted, earliest), latest);
  }

  function onFetched({ partition, records, next, moved }: Fetched): void {
    const silentMs = noteHeard(partition);
    if (options.onRestart && (moved !== undefined || silentMs > restartAfterMs)) {
      log.warn("log.reader_restarted", {
        topic: topic.name,
        partition,
        moved,
        silent_ms: silentMs,
      });
      restart(options.onRestart);
      return;
    }
    if (records.length > 0) {
      metrics.consumed(topic.name, records.length);
      const followed: Followed<Desc>[] = [];
      for (const record of records) {
        const value = decode(partition, record);
        if (value === undefined) continue;
        const key = record.key?.toString("utf8") ?? "";
        followed.push({ key, value, partition, offset: BigInt(record.offset) });
      }
      if (followed.length > 0) handOver(followed);
    }
    const target = ahead.get(partition);
    if (target !== undefined && next >= target) {
      ahead.delete(partition);
      if (ahead.size === 0) caughtUp.resolve();
    }
  }

  /** @returns ms since the broker answered for the partition last; the wall clock counts too, for machines that were suspended */
  function noteHeard(partition: number): number {
    const last = heard.get(partition);
    const now = { atMs: performance.now(), wallMs: Date.now() };
    heard.set(partition, now);
    return last ? Math.max(now.atMs - last.atMs, now.wallMs - last.wallMs) : 0;
  }

  /** Reads from the first kept record again. What is handed over from now on was read anew. */
  function restart(onRestart: (caughtUp: Promise<void>) => void): void {
    fetcher?.close();
    fetcher = undefined;
    heard.clear();
    ahead.clear();
    from = "start";
    const reading = Promise.withResolvers<void>();
    void reading.promise.then(caughtUp.resolve); // what waits for the reading that is given up waits for this one
    caughtUp = reading;
    onRestart(reading.promise);
    void start();
  }

  function handOver(followed: readonly Followed<Desc>[]): void {
    try {
      options.onRecords(followed);
    } catch (thrown) {
      log.error("log.follower_threw", { topic: topic.name, error: thrown }); // it must not; reading goes on
    }
  }

  function decode(partition: number, record: FetchedRecord): MessageShape<Desc> | null | undefined {
    if (record.value === null) return null;
    try {
      return fromBinary(topic.schema, record.value);
    } catch (thrown) {
      metrics.skipped(topic.name);
      const { offset } = record;
      log.warn("log.undecodable", { topic: topic.name, partition, offset, error: thrown });
      return undefined;
    }
  }
}
