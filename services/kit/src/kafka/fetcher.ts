/**
 * Reads partitions of one topic from given positions, for ever: one long poll per broker, so that a record is here as
 * soon as it is stored. Positions live here, so that nothing is missed or doubled when brokers go and come.
 */
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import { decodeBatches, type FetchedRecord } from "./batch.ts";
import type { Cluster } from "./cluster.ts";
import { OFFSET_OUT_OF_RANGE } from "./codes.ts";
import { createFetch, type FetchedPart } from "./fetch.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { findEdges } from "./offsets.ts";
import { pause } from "./pause.ts";

/** What was read of one partition. */
export type Fetched = {
  readonly partition: number;
  readonly records: readonly FetchedRecord[];
  /** Where reading goes on; past `records` when compaction left a gap. */
  readonly next: number;
  /** The end of the partition. */
  readonly highWatermark: number;
};

/** How to read. */
export type FetcherOptions = {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly topic: string;
  /** Names the connections of this reader. */
  readonly purpose: string;
  /** Partition → first offset to read. */
  readonly positions: ReadonlyMap<number, number>;
  /** Whether there is room for more of a partition. */
  readonly wants: (partition: number) => boolean;
  /** Must not throw. Called with no records too, when only the position or the end moved. */
  readonly onFetched: (fetched: Fetched) => void;
};

/** A running reader. */
export type Fetcher = {
  /** Looks again at who wants records. */
  wake(): void;
  /** Every partition is being read, as far as the last answers say. */
  readonly reading: boolean;
  close(): void;
};

/** ms a broker may hold an answer back while there is nothing to say. */
const WAIT_MS = 500;
/** The same while some partition is left out for want of room: it must be asked for again soon. */
const WAIT_SHORT_MS = 10;
/** Per answer and per partition in it. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const PART_BYTES_MAX = 1024 * 1024;
/**
 * ms to let records gather behind a small answer. The first after a silence still comes at once; under load it makes
 * batches several times larger, and the broker, the reader and the database that much cheaper.
 */
const GATHER_MS = 4;
/** An answer this large has gathered enough: more is asked for at once. */
const GATHERED_BYTES = 128 * 1024;
/** Failures in a row between two log lines. */
const LOG_EVERY = 20;
const RETRY = { firstMs: 20, mostMs: 1_000 };

/** Starts reading. Never gives up; `close` ends it at once. */
export function openFetcher(options: FetcherOptions): Fetcher {
  const { cluster, log, topic, purpose } = options;
  const positions = new Map(options.positions);
  const answered = new Set<number>();
  const busy = new Set<number>();
  const ended = new AbortController();
  let failures = 0;
  let locating = false;

  wake();
  return {
    wake,
    get reading() {
      return !ended.signal.aborted && [...positions.keys()].every((at) => answered.has(at));
    },
    close() {
      ended.abort();
      cluster.close(purpose);
    },
  };

  function wake(): void {
    if (ended.signal.aborted) return;
    const byNode = Map.groupBy(positions.keys(), (partition) => cluster.leaderOf(topic, partition));
    for (const [node, partitions] of byNode) {
      if (node < 0) {
        for (const partition of partitions) answered.delete(partition);
        void locate();
      } else if (!busy.has(node) && partitions.some(options.wants)) {
        void read(node, partitions);
      }
    }
  }

  async function read(node: number, partitions: readonly number[]): Promise<void> {
    busy.add(node);
    try {
      const bytes = await readOnce(node, partitions);
      failures = 0;
      if (bytes > 0 && bytes < GATHERED_BYTES) await pause(GATHER_MS, ended.signal);
    } catch (thrown) {
      if (ended.signal.aborted) return;
      for (const partition of partitions) answered.delete(partition);
      failures++;
      if (failures % LOG_EVERY === 1) log.warn("log.fetch_failed", { topic, node, error: thrown });
      await pause(delayMs(RETRY, failures), ended.signal);
      await cluster.refresh([topic]).catch(() => {}); // the next try will say
    } finally {
      busy.delete(node);
      wake();
    }
  }

  /** @returns how many bytes of records came */
  async function readOnce(node: number, partitions: readonly number[]): Promise<number> {
    const link = await cluster.link(node, purpose);
    const asked = partitions.filter(options.wants);
    if (asked.length === 0) return 0;
    const started = performance.now();
    const parts = await link.send(
      createFetch(
        topic,
        asked.map((partition) => ({ partition, offset: positions.get(partition) ?? 0 })),
        {
          waitMs: asked.length === partitions.length ? WAIT_MS : WAIT_SHORT_MS,
          bytesMax: ANSWER_BYTES_MAX,
          partBytesMax: PART_BYTES_MAX,
        },
      ),
      { timeoutMs: WAIT_MS + 5_000 },
    );
    if (ended.signal.aborted) return 0;
    let failure: unknown;
    for (const part of parts) {
      try {
        if (part.code === 0) accept(part);
        else if (part.code === OFFSET_OUT_OF_RANGE) await reset(part.partition);
        else throw new Error(`the broker refused a fetch with error ${part.code}`);
      } catch (thrown) {
        failure = thrown; // the other partitions go on
      }
    }
    const bytes = parts.reduce((sum, part) => sum + part.bytes.length, 0);
    if (bytes > 0) {
      options.metrics.operation(topic, "poll", (performance.now() - started) / 1_000);
    }
    if (failure !== undefined) throw failure;
    return bytes;
  }

  function accept({ partition, bytes, highWatermark }: FetchedPart): void {
    answered.add(partition);
    const from = positions.get(partition) ?? 0;
    const { records, next } = decodeBatches(bytes, from);
    positions.set(partition, next);
    options.onFetched({ partition, records, next, highWatermark });
  }

  /**
   * A group's first time begins here, at 0. Else what was at the position was deleted by retention (go on with what is
   * left) or lost with a broker's disk (go on at the end).
   */
  async function reset(partition: number): Promise<void> {
    const from = positions.get(partition) ?? 0;
    const edges = (await findEdges(cluster, topic, [partition])).get(partition);
    if (!edges || ended.signal.aborted) return;
    const to = Math.min(Math.max(from, edges.earliest), edges.latest);
    if (to === from) throw new Error(`offset ${from} of partition ${partition} is not there yet`);
    if (from > 0) log.error("log.position_lost", { topic, partition, from, to });
    positions.set(partition, to);
    options.onFetched({ partition, records: [], next: to, highWatermark: edges.latest });
  }

  async function locate(): Promise<void> {
    if (locating) return;
    locating = true;
    await cluster.refresh([topic]).catch(() => {}); // tried again below
    await pause(delayMs(RETRY, 4), ended.signal);
    locating = false;
    wake();
  }
}
