/**
 * The one idempotent producer of a process. Records of all publishers are gathered: sent at once when nothing is under
 * way to their broker, else together with all that came meanwhile.
 *
 * Order and once-ness: each batch carries producer id and sequence numbers. A batch whose fate is unknown is sent again
 * as the same bytes, before anything newer of its partition, and the broker knows it again. When that cannot be (the
 * deadline passed, the broker forgot or refused it), its callers are told and the next records go out under a new
 * producer id: never under numbers that the broker may hold for others.
 */
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import { type Call, createCalls, tooLarge, unavailable } from "./calls.ts";
import type { Cluster } from "./cluster.ts";
import { DUPLICATE_SEQUENCE, OUT_OF_ORDER_SEQUENCE, PASSING, TOO_LARGE } from "./codes.ts";
import { createLanes } from "./lanes.ts";
import { createLocator } from "./locator.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { createProduce, type PartResult } from "./produce.ts";
import { type Batch, cutBatch, fail, isFirst, type Lane, type Pending } from "./producer-lane.ts";
import { openSession } from "./producer-session.ts";
import type { Prepared } from "./record.ts";
import type { TopicSizes } from "./types.ts";

/** Bounds of the producer. */
export type ProducerOptions = {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly timeoutMs: number;
  readonly bufferRecordsMax: number;
  readonly bufferBytesMax: number;
  /** Requests under way to one broker at once, 1 to 5. */
  readonly sendsInFlightMax: number;
};

/** Takes prepared records. */
export type Producer = {
  /** It has a producer id and a connection. */
  readonly ready: boolean;
  /** Resolves and rejects as `Publish` says. `sizes` are those of the records' topic. */
  publish(records: readonly Prepared[], sizes: TopicSizes): Promise<void>;
  /** Sends what waits, as long as `timeoutMs` lasts, and rejects the rest. */
  close(): Promise<void>;
};

/** Per batch and per request: large enough to be worth it, small enough to be quick. */
const BATCH_BYTES_MAX = 900_000;
const REQUEST_RECORDS_MAX = 1_000;
const REQUEST_BYTES_MAX = 4_000_000;
/** Batches of one partition under way at once that a broker still knows again. Kafka's own limit. */
const BATCHES_IN_FLIGHT_MAX = 5;
/** ms between looks at deadlines. */
const SWEEP_MS = 250;
const RETRY = { firstMs: 20, mostMs: 1_000 };

/** Starts connecting at once and keeps at it. */
export function openProducer(options: ProducerOptions): Producer {
  const { cluster, log, metrics } = options;
  const calls = createCalls(options);
  const lanes = createLanes(cluster);
  const onWire = new Map<number, number>();
  const ended = new AbortController();
  const session = openSession({ cluster, log, signal: ended.signal, onBegun });
  const locator = createLocator({ cluster, lanes, log, signal: ended.signal, onFresh: schedule });
  let scheduled = false;
  let wakeAt = Number.POSITIVE_INFINITY;
  let closing: Promise<void> | undefined;
  const sweeper = setInterval(sweep, SWEEP_MS);

  return {
    get ready() {
      return session.current !== undefined && cluster.connected && closing === undefined;
    },
    async publish(records, sizes) {
      if (records.length === 0) return;
      if (closing) throw unavailable("the door to the log is closing");
      await calls.open(records, sizes, (call) => enqueue(records, call));
    },
    close() {
      closing ??= close();
      return closing;
    },
  };

  function enqueue(records: readonly Prepared[], call: Call): void {
    let known = true;
    for (const record of records) known = lanes.add({ record, call }) && known;
    if (!known) locator.refresh();
    schedule();
  }

  /** Sends after all that this turn of the event loop hands in. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(drain);
  }

  function scheduleAt(time: number): void {
    if (time >= wakeAt) return;
    wakeAt = time;
    const wake = () => {
      wakeAt = Number.POSITIVE_INFINITY;
      schedule();
    };
    setTimeout(wake, Math.max(1, time - Date.now()));
  }

  function drain(): void {
    scheduled = false;
    if (!session.current) return;
    const now = Date.now();
    const requests = new Map<number, { batches: Batch[]; records: number; bytes: number }>();
    for (const lane of [...lanes.waiting]) {
      const node = cluster.leaderOf(lane.topic, lane.partition);
      if (node < 0) {
        locator.refresh();
        continue;
      }
      if ((onWire.get(node) ?? 0) >= options.sendsInFlightMax) continue;
      const request = requests.get(node) ?? { batches: [], records: 0, bytes: 0 };
      if (request.records >= REQUEST_RECORDS_MAX || request.bytes >= REQUEST_BYTES_MAX) continue;
      const batch = takeBatch(lane, node, now, REQUEST_RECORDS_MAX - request.records);
      lanes.queue(lane);
      if (!batch) continue;
      request.batches.push(batch);
      request.records += batch.records.length;
      request.bytes += batch.bytes.length;
      requests.set(node, request);
    }
    for (const [node, { batches }] of requests) void send(node, batches);
  }

  function takeBatch(lane: Lane, node: number, now: number, recordsMax: number): Batch | undefined {
    if (lane.failed.length > 0) {
      if (lane.sent.length > 0) return undefined;
      if (lane.retryAt > now) {
        scheduleAt(lane.retryAt);
        return undefined;
      }
      return lane.failed.shift();
    }
    if (lane.sent.length > 0 && lane.node !== node) return undefined; // its leader moved
    if (lane.sent.length >= BATCHES_IN_FLIGHT_MAX || !session.current) return undefined;
    return cutBatch(lane, session.current, { recordsMax, bytesMax: BATCH_BYTES_MAX }, now);
  }

  async function send(node: number, batches: readonly Batch[]): Promise<void> {
    const under = session.current;
    const started = performance.now();
    const release = session.hold();
    onWire.set(node, (onWire.get(node) ?? 0) + 1);
    for (const batch of batches) {
      batch.lane.node = node;
      batch.lane.sent.push(batch);
    }
    const deadline = Math.min(...batches.map((batch) => batch.deadline));
    let results: readonly PartResult[] = [];
    let failure: unknown;
    try {
      const link = await cluster.link(node, "produce");
      const timeoutMs = Math.max(1, deadline - Date.now());
      results = await link.send(createProduce(batches.map(partOf), timeoutMs), { timeoutMs });
    } catch (thrown) {
      failure = thrown;
      log.debug("log.send_failed", { node, error: thrown });
      locator.refresh();
    }
    onWire.set(node, (onWire.get(node) ?? 1) - 1);
    const codes = new Map(results.map((result) => [nameOf(result), result.code]));
    for (const batch of batches) {
      const code = codes.get(nameOf(batch.lane));
      const first = isFirst(batch);
      batch.lane.sent.splice(batch.lane.sent.indexOf(batch), 1);
      if (code === 0 || code === DUPLICATE_SEQUENCE) succeed(batch);
      else falter(batch, { code, first, current: under === session.current, failure });
      lanes.queue(batch.lane);
    }
    const seconds = (performance.now() - started) / 1_000;
    for (const topic of new Set(batches.map(({ lane }) => lane.topic))) {
      metrics.operation(topic, "send", seconds, failure === undefined ? undefined : "connection");
    }
    release();
    schedule();
  }

  function succeed({ lane, records }: Batch): void {
    lane.attempt = 0;
    metrics.sent(lane.topic, records.length);
    for (const { call } of records) call.acknowledge();
  }

  /** Not stored, or who knows: `code` undefined says that the connection failed. */
  function falter(
    batch: Batch,
    how: { code: number | undefined; first: boolean; current: boolean; failure: unknown },
  ): void {
    const { lane } = batch;
    const { code } = how;
    const now = Date.now();
    const passes =
      code === undefined || PASSING.has(code) || (code === OUT_OF_ORDER_SEQUENCE && !how.first);
    if (passes && how.current && batch.deadline > now) {
      fail(batch);
      lane.attempt++;
      lane.retryAt = now + delayMs(RETRY, lane.attempt);
      locator.refresh();
      return;
    }
    const cause = how.failure ?? new Error(`the broker answered with error ${code}`);
    giveUp(batch, code !== undefined && TOO_LARGE.has(code) ? tooLarge() : unavailable(cause));
    if (how.current) loseSession(cause);
  }

  function giveUp(batch: Batch, error: Error & { reason: string }): void {
    metrics.sent(batch.lane.topic, batch.records.length, error.reason);
    for (const { call } of batch.records) call.reject(error);
  }

  /** After a batch was given up, its numbers are spoilt: what is left of the session is given up with it. */
  function loseSession(cause: unknown): void {
    for (const lane of lanes.all) {
      for (const batch of lane.failed.splice(0)) giveUp(batch, unavailable(cause));
      lane.attempt = 0;
    }
    session.lose(cause);
  }

  function onBegun(): void {
    for (const lane of lanes.all) lane.sequence = 0;
    locator.refresh();
    schedule();
  }

  /** Rejects what is past its deadline and sees to it that a lost connection comes back without being asked for. */
  function sweep(): void {
    const now = Date.now();
    const late = unavailable("not acknowledged in time");
    for (const parked of lanes.parked) rejectLate(parked);
    for (const lane of lanes.all) {
      rejectLate(lane.waiting);
      const stuck = [...lane.sent, ...lane.failed].filter((batch) => batch.deadline <= now);
      if (stuck.length === 0) continue;
      for (const batch of stuck) giveUp(batch, late);
      loseSession(late);
      cluster.close("produce"); // fails what is under way, so that a new session can begin
    }
    locator.keepFresh(session.current !== undefined && !cluster.connected);

    function rejectLate(list: Pending[]): void {
      let count = 0;
      for (const { call } of list) {
        if (call.deadline > now && !call.settled) break;
        call.reject(late);
        count++;
      }
      list.splice(0, count);
    }
  }

  async function close(): Promise<void> {
    await calls.whenEmpty(); // at the latest when the sweeper has rejected the last one
    clearInterval(sweeper);
    ended.abort();
    cluster.close("produce");
  }
}

function partOf({ lane: { topic, partition }, bytes }: Batch) {
  return { topic, partition, bytes };
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}
