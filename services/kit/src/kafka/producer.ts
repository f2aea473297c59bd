/**
 * The one idempotent producer of a process: takes the records of all publishers into lanes, one per partition, and ends each
 * call by its deadline. What is sent when is in `sender.ts`, what an answer means in `batch-results.ts`.
 */
import type { Log } from "../log.ts";
import { createBatchResults } from "./batch-results.ts";
import { createCalls } from "./calls.ts";
import type { Cluster } from "./cluster.ts";
import { createLanes, type Parcel } from "./lanes.ts";
import { createLocator } from "./locator.ts";
import type { KafkaMetrics } from "./metrics.ts";
import type { Group, Lane } from "./producer-lane.ts";
import { openSession } from "./producer-session.ts";
import { batchTooLarge, unavailable } from "./publish-errors.ts";
import type { Prepared } from "./record.ts";
import { createSender } from "./sender.ts";
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
  /** Resolves and rejects as `Publish` says. The records are of one topic, `sizes` its sizes. `atomic`: default true. */
  publish(records: readonly Prepared[], sizes: TopicSizes, atomic?: boolean): Promise<void>;
  /** Sends what waits, as long as `timeoutMs` lasts, and rejects the rest. */
  close(): Promise<void>;
};

/** ms between looks at deadlines. */
const SWEEP_MS = 250;
/** A request without an answer for so many ms: where its partitions are is asked anew. */
const SLOW_MS = 1_000;

/** Starts connecting at once and keeps at it. */
export function openProducer(options: ProducerOptions): Producer {
  const { cluster, log, metrics } = options;
  const ended = new AbortController();
  const { signal } = ended;
  const calls = createCalls(options);
  const lanes = createLanes(cluster, (call) => calls.refuse(call, batchTooLarge()));
  const shared = { ...options, lanes, session: () => session, locate: () => locator.refresh() };
  const batchResults = createBatchResults({
    ...shared,
    calls,
    reportRefusal: cluster.reportRefusal,
  });
  const sender = createSender({ ...shared, batchResults });
  const locator = createLocator({ cluster, lanes, log, signal, onFresh: sender.schedule });
  const session = openSession({ cluster, log, signal, onBegun });
  let closing: Promise<void> | undefined;
  const sweeper = setInterval(sweep, SWEEP_MS);

  return {
    get ready() {
      return session.current !== undefined && cluster.connected && closing === undefined;
    },
    async publish(records, sizes, atomic = true) {
      if (records.length === 0) return;
      if (closing) throw unavailable("the door to the log is closing");
      await calls.open(records, sizes, atomic, (call) => enqueue({ call, records, sizes }));
    },
    close() {
      closing ??= close();
      return closing;
    },
  };

  function enqueue(parcel: Parcel): void {
    if (!lanes.add(parcel)) locator.refresh();
    sender.schedule();
  }

  function onBegun(): void {
    batchResults.restart();
    sender.schedule();
    locator.refresh();
  }

  /** Fails what is past its deadline, and notices brokers that do not answer. */
  function sweep(): void {
    const now = performance.now();
    const late = new Error("not acknowledged in time");
    let isSlow = false;
    for (const parked of lanes.parked) failLate(parked);
    for (const lane of lanes.all) {
      failLate(lane.waiting, lane.topic);
      for (const { groups } of [...lane.sent, ...lane.failed]) {
        for (const { call } of groups) if (call.deadline <= now) calls.fail(call, late);
      }
      const over = lane.failed.filter(({ deadline }) => deadline <= now);
      if (over.length > 0) {
        lane.failed.splice(0, lane.failed.length, ...lane.failed.filter((b) => !over.includes(b)));
        for (const batch of over) batchResults.giveUp(batch, late);
        batchResults.loseSession(late);
      }
      if (lane.sent.length === 0) continue;
      if (now - lane.sentAt > SLOW_MS) isSlow = true;
      if (isAbandoned(lane, now)) cluster.close("produce", lane.node);
    }
    locator.keepFresh(isSlow || (session.current !== undefined && !cluster.connected));

    function failLate(list: Pick<Group, "call" | "records">[], topic?: string): void {
      let count = 0;
      for (const { call, records } of list) {
        if (call.deadline > now && !call.settled) break;
        if (!call.settled) {
          const reason = calls.fail(call, late);
          if (topic) metrics.sent(topic, records.length, reason);
        }
        count++;
      }
      list.splice(0, count);
    }
  }

  /** Whether an answer to what is on the wire is of no use any more, or will not come from that broker. */
  function isAbandoned({ topic, partition, sent, sentAt, node }: Lane, now: number): boolean {
    if (sent.some(({ deadline }) => deadline <= now)) return true;
    const leader = cluster.leaderOf(topic, partition);
    return now - sentAt > SLOW_MS && leader >= 0 && leader !== node;
  }

  async function close(): Promise<void> {
    await calls.whenEmpty(); // at the latest when the sweeper has failed the last one
    clearInterval(sweeper);
    ended.abort();
    cluster.close("produce");
  }
}
