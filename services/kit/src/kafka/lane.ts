/** One partition of a consumer: takes what is fetched, works it chunk by chunk in order, says how far it came. */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Log } from "../log.ts";
import { type Span, type SpanContext, tracing, withSpan } from "../telemetry.ts";
import type { FetchedRecord } from "./batch.ts";
import { createConsumeSpans, describeOutcomes } from "./consume-spans.ts";
import type { Bury } from "./dead-letter.ts";
import type { Fetched } from "./fetcher.ts";
import type { KafkaMetrics } from "./metrics.ts";
import type { Outcome } from "./outcome.ts";
import { pause } from "./pause.ts";
import { type Entry, settle } from "./settle.ts";
import type { Slots } from "./slots.ts";
import type { Handler, Topic } from "./types.ts";

/** What a lane needs. */
export type LaneOptions<Desc extends DescMessage> = {
  readonly topic: Topic<Desc>;
  readonly group: string;
  readonly partition: number;
  readonly clientId: string;
  /** First offset it will get. */
  readonly position: number;
  readonly handler: Handler<Desc>;
  readonly bury: Bury;
  readonly chunkMax: number;
  /** Shared by the lanes of a consumer; given back while a lane only waits. */
  readonly slots: Slots;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  /** Everything before `offset` has its fate. `trace`: of the poll it belongs to. */
  readonly onSettled: (offset: number, trace: SpanContext | undefined) => void;
  /** Room was made. */
  readonly onRoom: () => void;
};

/** A lane at work. */
export type ConsumerLane = {
  push(fetched: Fetched): void;
  readonly hasRoom: boolean;
  /** Records behind the end, and the age of the oldest one that is here, in seconds. */
  readonly lag: { readonly lag: number; readonly ageS: number };
  /** Begins nothing new; resolves when what is running is finished and its progress told. */
  stop(): Promise<void>;
};

/** What may wait here: enough that no fetch is missed while a chunk is worked. */
const WAITING_RECORDS_MAX = 2_000;
const WAITING_BYTES_MAX = 2 * 1024 * 1024;

/** Starts at once. */
export function openLane<Desc extends DescMessage>(options: LaneOptions<Desc>): ConsumerLane {
  const { topic, group, partition, clientId, metrics, slots, chunkMax } = options;
  const log = options.log.child({ topic: topic.name, group, partition });
  const spans = createConsumeSpans({ topic: topic.name, group, partition, clientId });
  const ended = new AbortController();
  const waiting: FetchedRecord[] = [];
  let waitingBytes = 0;
  let done = options.position;
  let fetchedTo = options.position;
  let highWatermark = options.position;
  let oldest: number | undefined;
  let more = Promise.withResolvers<void>();
  ended.signal.addEventListener("abort", () => more.resolve());
  const working = work();

  return {
    push({ records, next, highWatermark: end }) {
      for (const record of records) {
        waiting.push(record);
        waitingBytes += sizeOf(record);
      }
      fetchedTo = next;
      highWatermark = end;
      more.resolve();
    },
    get hasRoom() {
      return waiting.length < WAITING_RECORDS_MAX && waitingBytes < WAITING_BYTES_MAX;
    },
    get lag() {
      const from = oldest ?? waiting[0]?.timestamp;
      const ageS = from === undefined ? 0 : Math.max(0, Date.now() - from) / 1_000;
      return { lag: Math.max(0, highWatermark - done), ageS };
    },
    stop() {
      ended.abort();
      return working;
    },
  };

  async function work(): Promise<void> {
    while (!ended.signal.aborted) {
      if (waiting.length === 0) {
        if (fetchedTo > done) advance(fetchedTo, undefined); // a gap that compaction left
        more = Promise.withResolvers<void>();
        if (waiting.length === 0) await more.promise;
        continue;
      }
      let give = await slots.take();
      const records = waiting.splice(0, chunkMax);
      for (const record of records) waitingBytes -= sizeOf(record);
      oldest = records[0]?.timestamp;
      if (ended.signal.aborted) {
        give();
        return;
      }
      options.onRoom();
      metrics.consumed(topic.name, records.length, group);
      const poll = tracing() ? spans.startPoll(records) : undefined;
      /** The span that handled the records last. */
      let handled = poll?.context;
      const settling = () =>
        settle(records.map(decode), {
          run(entries) {
            const span = tracing() ? startProcess(entries, poll) : undefined;
            handled = span?.context;
            return runHandler(entries, span);
          },
          bury: (record, reason) => bury(record, reason, handled),
          async pause(ms) {
            give();
            await pause(ms, ended.signal);
            give = await slots.take();
          },
          signal: ended.signal,
          onOutcome: (kind, reason) => metrics.outcome(group, kind, reason),
          log,
        });
      const count = await (poll ? withSpan(poll, settling) : settling());
      give();
      oldest = undefined;
      const next = count < records.length ? records[count]?.offset : nextOffset(records);
      if (next !== undefined && next > done) advance(next, poll?.context);
      if (count < records.length) return; // only when stopped
    }
  }

  function nextOffset(records: readonly FetchedRecord[]): number {
    return (records.at(-1)?.offset ?? done - 1) + 1;
  }

  function advance(offset: number, trace: SpanContext | undefined): void {
    done = offset;
    options.onSettled(offset, trace);
  }

  function decode(record: FetchedRecord): Entry<MessageShape<Desc>> {
    if (record.value === null) return { record, value: undefined };
    try {
      return { record, value: fromBinary(topic.schema, record.value) };
    } catch (thrown) {
      log.warn("log.undecodable", { offset: record.offset, error: thrown });
      return { record, value: undefined };
    }
  }

  async function runHandler(
    entries: readonly Entry<MessageShape<Desc>>[],
    span: Span | undefined,
  ): Promise<readonly Outcome[]> {
    const values = entries.flatMap(({ value }) => (value === undefined ? [] : [value]));
    const started = performance.now();
    const context = { signal: ended.signal, trace: span?.context };
    let failure: unknown;
    try {
      return await (span ? withSpan(span, run) : run());
    } catch (thrown) {
      failure = thrown;
      span?.fail(thrown);
      throw thrown;
    } finally {
      span?.end();
      const error = failure === undefined ? undefined : nameOf(failure);
      metrics.processed(topic.name, group, (performance.now() - started) / 1_000, error);
    }

    async function run(): Promise<readonly Outcome[]> {
      const outcomes = await options.handler(values, context);
      if (span) describeOutcomes(span, outcomes);
      log.debug("log.chunk_handled", {
        offset: entries[0]?.record.offset,
        count: entries.length,
        duration_ms: Math.round((performance.now() - started) * 100) / 100,
      });
      return outcomes;
    }
  }

  function startProcess(
    entries: readonly Entry<MessageShape<Desc>>[],
    poll: Span | undefined,
  ): Span {
    return spans.startProcess(
      entries.map(({ record }) => record),
      poll?.context,
    );
  }

  async function bury(
    record: FetchedRecord,
    reason: string,
    parent: SpanContext | undefined,
  ): Promise<void> {
    const span = spans.startBury(record, reason, parent);
    try {
      const omittedBytes = await options.bury(record, reason);
      metrics.buried(topic.name, group, reason, omittedBytes > 0);
      withSpan(span, () => {
        const { offset } = record;
        log.warn("log.record_buried", { reason, offset });
        if (omittedBytes > 0)
          log.error("log.dead_value_omitted", { reason, offset, omitted_bytes: omittedBytes });
      });
    } catch (thrown) {
      span.fail(thrown);
      throw thrown;
    } finally {
      span.end();
    }
  }
}

function nameOf(failure: unknown): string {
  if (failure instanceof Error && "reason" in failure) return String(failure.reason);
  return failure instanceof Error ? failure.name : "error";
}

function sizeOf(record: FetchedRecord): number {
  return (record.value?.length ?? 0) + record.headers.length + (record.key?.length ?? 0);
}
