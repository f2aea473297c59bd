/**
 * Sends what waits in the lanes: at once when nothing is under way to a broker, else together with all that came meanwhile.
 *
 * Order and once-ness: each batch carries producer id and sequence numbers. A batch that a broker may have is sent again as
 * the same bytes, before anything newer of its partition, and the broker knows it again. A batch that no broker has is
 * taken apart: its records wait again and its numbers are given anew. When an unsure batch cannot be sent again (its
 * deadline passed, the broker refused its session), its calls fail and all that follows goes out under a new producer
 * id: never under numbers that a broker may hold for others.
 */
import type { Log } from "../log.ts";
import type { BatchResults } from "./batch-results.ts";
import type { Cluster } from "./cluster.ts";
import { DUPLICATE_SEQUENCE } from "./codes.ts";
import type { Lanes } from "./lanes.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { createProduce, type PartResult } from "./produce.ts";
import { type Batch, cutBatch, expose, type Lane, takeBack } from "./producer-lane.ts";
import type { Session } from "./producer-session.ts";

/** What sending needs. */
export type SenderOptions = {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly batchResults: BatchResults;
  readonly lanes: Lanes;
  readonly session: () => Session;
  /** Asks where partitions are. */
  readonly locate: () => void;
  /** Requests under way to one broker at once, 1 to 5. */
  readonly sendsInFlightMax: number;
};

/** Sends. */
export type Sender = {
  /** Sends after all that this turn of the event loop hands in. */
  schedule(): void;
};

const REQUEST_RECORDS_MAX = 1_000;
const REQUEST_BYTES_MAX = 4_000_000;
/**
 * ms for the answer to one request: shorter than the deadline of a publish, so that the same bytes can be tried on the
 * next leader in time. The broker gives up waiting for replicas a little earlier and says so.
 */
const SEND_TIMEOUT_MS = 5_000;
const REPLICAS_TIMEOUT_MS = 4_500;
/** Batches of one partition under way at once that a broker still knows again. Kafka's own limit. */
const BATCHES_IN_FLIGHT_MAX = 5;

/** Sends nothing until `schedule` is called. */
export function createSender(options: SenderOptions): Sender {
  const { cluster, log, metrics, batchResults, lanes, locate } = options;
  const onWire = new Map<number, number>();
  let scheduled = false;
  let wakeAt = Number.POSITIVE_INFINITY;

  return { schedule };

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
    setTimeout(wake, Math.max(1, time - performance.now()));
  }

  function drain(): void {
    scheduled = false;
    if (!options.session().current) return;
    const now = performance.now();
    const requests = new Map<number, { batches: Batch[]; records: number; bytes: number }>();
    for (const lane of [...lanes.waiting]) {
      const node = cluster.leaderOf(lane.topic, lane.partition);
      if (node < 0) {
        locate();
        continue;
      }
      if ((onWire.get(node) ?? 0) >= options.sendsInFlightMax) continue;
      const request = requests.get(node) ?? { batches: [], records: 0, bytes: 0 };
      if (request.records >= REQUEST_RECORDS_MAX || request.bytes >= REQUEST_BYTES_MAX) continue;
      const batch = takeBatch(lane, node, now, REQUEST_RECORDS_MAX - request.records);
      lanes.queue(lane);
      if (!batch) continue;
      request.batches.push(batch);
      request.records += batch.count;
      request.bytes += batch.bytes.length;
      requests.set(node, request);
    }
    for (const [node, { batches }] of requests) void send(node, batches);
  }

  function takeBatch(lane: Lane, node: number, now: number, recordsMax: number): Batch | undefined {
    const { current } = options.session();
    if (lane.failed.length > 0 && lane.sent.length > 0) return undefined;
    if (lane.retryAt > now) {
      scheduleAt(lane.retryAt);
      return undefined;
    }
    if (lane.failed.length > 0) return lane.failed.shift();
    if (lane.sent.length > 0 && lane.node !== node) return undefined; // its leader moved
    if (lane.sent.length >= BATCHES_IN_FLIGHT_MAX || !current) return undefined;
    return cutBatch(lane, current, recordsMax);
  }

  async function send(node: number, batches: readonly Batch[]): Promise<void> {
    const session = options.session();
    const under = session.current;
    const started = performance.now();
    const release = session.hold();
    onWire.set(node, (onWire.get(node) ?? 0) + 1);
    for (const batch of batches) {
      batch.lane.node = node;
      batch.lane.sentAt = started;
      batch.lane.sent.push(batch);
    }
    let sent: readonly Batch[] = [];
    let results: readonly PartResult[] = [];
    let failure: unknown;
    try {
      const link = await cluster.link(node, "produce");
      if (session.current !== under) throw new Error("the producer session was given up");
      sent = batches.filter(maySend);
      for (const batch of sent) expose(batch);
      if (sent.length > 0) {
        const request = createProduce(sent.map(partOf), REPLICAS_TIMEOUT_MS);
        results = await link.send(request, { timeoutMs: SEND_TIMEOUT_MS });
      }
    } catch (thrown) {
      failure = thrown;
      log.debug("log.send_failed", { node, error: thrown });
      locate();
    }
    onWire.set(node, (onWire.get(node) ?? 1) - 1);
    const codes = new Map(results.map((result) => [nameOf(result), result.code]));
    for (const batch of batches) {
      const { lane } = batch;
      const wasSent = sent.includes(batch);
      const code = wasSent ? codes.get(nameOf(lane)) : undefined;
      if (code === 0 || code === DUPLICATE_SEQUENCE) batchResults.acknowledged(batch);
      else
        batchResults.failed(batch, {
          code,
          sent: wasSent,
          current: under === session.current,
          failure,
        });
      if (lane.sent.length === 0) takeBack(lane);
      lanes.queue(lane);
    }
    const seconds = (performance.now() - started) / 1_000;
    for (const topic of new Set(batches.map(({ lane }) => lane.topic))) {
      metrics.operation(topic, "send", seconds, failure === undefined ? undefined : "connection");
    }
    release();
    schedule();
  }
}

/** A batch that no broker has can still be left unsent; it must be, once a call in it has failed. */
function maySend(batch: Batch): boolean {
  return batch.unsure || !batch.groups.some(({ call }) => call.settled);
}

function partOf({ lane: { topic, partition }, bytes }: Batch) {
  return { topic, partition, bytes };
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}
