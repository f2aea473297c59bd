/**
 * Reads partitions of one topic from given positions, for ever: one long poll per broker, so that a record is here as
 * soon as it is stored. Positions live here, so that nothing is missed or doubled when brokers go and come.
 */
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import type { Arrival } from "./backlog.ts";
import { decodeBatches, type Keep, readEpoch } from "./batch.ts";
import type { Cluster } from "./cluster.ts";
import { OFFSET_OUT_OF_RANGE } from "./codes.ts";
import { type Cursor, createCursor, noteFailure, Refused, rotate } from "./cursor.ts";
import { createFetch, type FetchedPart } from "./fetch.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { findEpochEnd, type Position } from "./offsets.ts";
import { pause } from "./pause.ts";
import { findWayOn } from "./unseen.ts";

/** What was read of one partition. */
export type Fetched = Arrival & {
  readonly partition: number;
  /** Leader epoch of the last batch read so far; undefined: not known. */
  readonly epoch: number | undefined;
  /**
   * Set when reading did not go on where it ended: `back`: the log was rolled back, and what comes begins at `next`, before
   * what was handed out last; `on`: records up to `next` were deleted before they were read.
   */
  readonly moved?: "back" | "on";
};

/** How to read. */
export type FetcherOptions = {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly topic: string;
  /** Names the connections of this reader. */
  readonly purpose: string;
  /** Partition → where to begin. */
  readonly positions: ReadonlyMap<number, Position>;
  /** Whether there is room for more of a partition. */
  readonly wants: (partition: number) => boolean;
  /** Which records of a partition are wanted; asked right before `onFetched`. Absent or undefined: all. */
  readonly keeps?: (partition: number) => Keep | undefined;
  /** Must not throw. Called with no records too, when only the position or the end moved. */
  readonly onFetched: (fetched: Fetched) => void;
};

/** A running reader. */
export type Fetcher = {
  /** Looks again at who wants records. */
  wake(): void;
  /** Reads a partition from this offset on, from now on; undefined: no more. An answer under way is dropped. */
  seek(partition: number, offset: number | undefined): void;
  /** Every partition is being read, as far as the last answers say. */
  readonly reading: boolean;
  /** The broker refuses a partition for a reason that does not pass by itself. */
  readonly denied: boolean;
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
  const cursors = new Map<number, Cursor>();
  for (const [partition, position] of options.positions) {
    cursors.set(partition, createCursor(position));
  }
  const busy = new Set<number>();
  /** Node → failures of its connection in a row. */
  const failures = new Map<number, number>();
  const ended = new AbortController();
  let locating = false;
  /** Rises with each request: a broker fills the first partitions of a request first. */
  let turn = 0;

  wake();
  return {
    wake,
    seek(partition, offset) {
      const known = cursors.get(partition);
      if (offset === undefined) cursors.delete(partition);
      else if (known) known.offset = offset;
      else cursors.set(partition, createCursor({ offset }));
      if (offset !== undefined) wake();
    },
    get reading() {
      return !ended.signal.aborted && [...cursors.values()].every((cursor) => cursor.isAnswered);
    },
    get denied() {
      return [...cursors.values()].some((cursor) => cursor.isDenied);
    },
    close() {
      ended.abort();
      cluster.close(purpose);
    },
  };

  function wake(): void {
    if (ended.signal.aborted) return;
    const byNode = Map.groupBy(cursors.keys(), (partition) => cluster.leaderOf(topic, partition));
    for (const [node, partitions] of byNode) {
      if (node < 0) {
        for (const partition of partitions) setAnswered(partition, false);
        void locate();
      } else if (!busy.has(node) && partitions.some(isWanted)) {
        void read(node);
      }
    }
  }

  function isWanted(partition: number): boolean {
    const cursor = cursors.get(partition);
    return cursor !== undefined && cursor.retryAt <= performance.now() && options.wants(partition);
  }

  async function read(node: number): Promise<void> {
    busy.add(node);
    try {
      const bytes = await readOnce(node);
      failures.delete(node);
      if (bytes > 0 && bytes < GATHERED_BYTES) await pause(GATHER_MS, ended.signal);
    } catch (thrown) {
      if (ended.signal.aborted) return;
      for (const partition of partitionsOf(node)) setAnswered(partition, false);
      const count = (failures.get(node) ?? 0) + 1;
      failures.set(node, count);
      if (count % LOG_EVERY === 1) log.warn("log.fetch_failed", { topic, node, error: thrown });
      await pause(delayMs(RETRY, count), ended.signal);
      await cluster.refresh([topic]).catch(() => {}); // the next try will say
    } finally {
      busy.delete(node);
      wake();
    }
  }

  function partitionsOf(node: number): number[] {
    return [...cursors.keys()].filter((partition) => cluster.leaderOf(topic, partition) === node);
  }

  /** @returns how many bytes of records came */
  async function readOnce(node: number): Promise<number> {
    const link = await cluster.link(node, purpose);
    const partitions = partitionsOf(node);
    const asked = rotate(partitions.filter(isWanted), turn++).map((partition) => ({
      partition,
      offset: cursors.get(partition)?.offset ?? 0,
    }));
    if (asked.length === 0) return 0;
    const started = performance.now();
    const parts = await link.send(
      createFetch(topic, asked, {
        waitMs: partitions.every(options.wants) ? WAIT_MS : WAIT_SHORT_MS,
        bytesMax: ANSWER_BYTES_MAX,
        partBytesMax: PART_BYTES_MAX,
      }),
      { timeoutMs: WAIT_MS + 5_000 },
    );
    const offsets = new Map(asked.map(({ partition, offset }) => [partition, offset]));
    let bytes = 0;
    for (const part of parts) {
      if (ended.signal.aborted) return 0;
      bytes += part.bytes.length;
      const cursor = cursors.get(part.partition);
      if (cursor && cursor.offset === offsets.get(part.partition)) await takePart(part, cursor);
    }
    if (bytes > 0) {
      options.metrics.operation(topic, "poll", (performance.now() - started) / 1_000);
    }
    return bytes;
  }

  async function takePart(part: FetchedPart, cursor: Cursor): Promise<void> {
    const { partition, code } = part;
    try {
      if (code === OFFSET_OUT_OF_RANGE) await relocate(partition, cursor);
      else if (code !== 0) throw new Refused(code);
      else if (isOtherLeader(part, cursor)) await acceptOfOtherLeader(part, cursor);
      else accept(part, cursor);
      cursor.failures = 0;
      cursor.isDenied = false;
    } catch (thrown) {
      if (!ended.signal.aborted) fail(partition, cursor, thrown);
    }
  }

  function fail(partition: number, cursor: Cursor, thrown: unknown): void {
    const { offset } = cursor;
    const waitMs = noteFailure(cursor, thrown, log.child({ topic, partition, offset }));
    void pause(waitMs, ended.signal).then(async () => {
      if (ended.signal.aborted) return;
      await cluster.refresh([topic]).catch(() => {}); // the leader may have moved
      wake();
    });
  }

  function accept({ partition, bytes, highWatermark }: FetchedPart, cursor: Cursor): void {
    cursor.isAnswered = true;
    const keep = options.keeps?.(partition);
    const decoded = decodeBatches(bytes, cursor.offset, keep);
    const { records, next, skipped, epoch = cursor.epoch } = decoded;
    cursor.offset = next;
    cursor.epoch = epoch;
    cursor.timeMs = records.at(-1)?.timestamp ?? cursor.timeMs;
    options.onFetched({ partition, records, next, skipped, highWatermark, epoch });
  }

  /** Whether the records are of another leader than those before them. */
  function isOtherLeader({ bytes }: FetchedPart, cursor: Cursor): boolean {
    const epoch = readEpoch(bytes);
    return epoch !== undefined && cursor.epoch !== undefined && epoch !== cursor.epoch;
  }

  /**
   * Takes the records unless the partition was rolled back to before our offset and then written on: the records of the
   * leader that we read from last then end before it (KIP-320). Asked only when the leader of the records changed.
   */
  async function acceptOfOtherLeader(part: FetchedPart, cursor: Cursor): Promise<void> {
    const { offset, epoch = 0 } = cursor;
    const end = await findEpochEnd(cluster, topic, part.partition, epoch);
    const isCurrent = cursors.get(part.partition) === cursor && cursor.offset === offset;
    if (ended.signal.aborted || !isCurrent) return;
    if (end < offset) await relocate(part.partition, cursor);
    else accept(part, cursor);
  }

  /** The position is not in the log, or not in this log: goes on where nothing is missed. */
  async function relocate(partition: number, cursor: Cursor): Promise<void> {
    const from = cursor.offset;
    const { to, latest } = await findWayOn(cluster, topic, partition, cursor);
    if (ended.signal.aborted || cursors.get(partition) !== cursor || cursor.offset !== from) return;
    if (to === from) {
      if (cursor.epoch === undefined) throw new Error(`offset ${from} is not there yet`);
      cursor.epoch = undefined; // it says nothing of this log: time is what is left to go by
      return;
    }
    if (from > 0) log.error("log.position_lost", { topic, partition, from, to });
    cursor.offset = to;
    options.onFetched({
      partition,
      records: [],
      next: to,
      skipped: 0,
      highWatermark: latest,
      epoch: cursor.epoch,
      moved: to < from ? "back" : "on",
    });
  }

  function setAnswered(partition: number, isAnswered: boolean): void {
    const cursor = cursors.get(partition);
    if (cursor) cursor.isAnswered = isAnswered;
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
