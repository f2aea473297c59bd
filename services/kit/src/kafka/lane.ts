/** One partition of a consumer: takes what is fetched, works it chunk by chunk in order, says how far it came. */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Log } from "../log.ts";
import { type Span, type SpanContext, tracing, withSpan } from "../telemetry.ts";
import { createBacklog } from "./backlog.ts";
import type { FetchedRecord, Keep } from "./batch.ts";
import { createConsumeSpans, describeOutcomes } from "./consume-spans.ts";
import type { Bury } from "./dead-letter.ts";
import type { Fetched } from "./fetcher.ts";
import type { KafkaMetrics } from "./metrics.ts";
import type { Position } from "./offsets.ts";
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
  /** First offset it will get, and what is known of the records before. */
  readonly position: Position;
  readonly handler: Handler<Desc>;
  readonly bury: Bury;
  readonly chunkMax: number;
  /** Shared by the lanes of a consumer; given back while a lane only waits. */
  readonly slots: Slots;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  /** Every record before the position is done. `trace`: of the poll it belongs to. */
  readonly onSettled: (position: Position, trace: SpanContext | undefined) => void;
  /** Room was made. */
  readonly onRoom: () => void;
  /** The main cursor must read on at this offset. */
  readonly onRestart: (offset: number) => void;
  /** The catch-up cursor must read on at this offset; undefined: it must not read. */
  readonly onCatchUp: (offset: number | undefined) => void;
};

/** A lane at work. */
export type ConsumerLane = {
  /** Takes what the main cursor read. */
  push(fetched: Fetched): void;
  /** Takes what the catch-up cursor read. */
  pushDeferred(fetched: Fetched): void;
  readonly hasRoom: boolean;
  /** Which records the main cursor is to bring; undefined: all. */
  keeps(): Keep | undefined;
  /** Which records the catch-up cursor is to bring. */
  readonly keepsDeferred: Keep;
  /** Records behind the end, and the age of the oldest one that is here, in seconds. */
  readonly lag: { readonly lag: number; readonly ageS: number };
  /** Begins nothing new; resolves when what is running is finished and its progress told. */
  stop(): Promise<void>;
};

/** Starts at once. */
export function openLane<Desc extends DescMessage>(options: LaneOptions<Desc>): ConsumerLane {
  const { topic, group, partition, clientId, metrics, slots, chunkMax } = options;
  const log = options.log.child({ topic: topic.name, group, partition });
  const spans = createConsumeSpans({ topic: topic.name, group, partition, clientId });
  const ended = new AbortController();
  const backlog = createBacklog(options.position.offset, chunkMax);
  let done = options.position.offset;
  let { epoch, timeMs } = options.position;
  /** Where the catch-up cursor was sent last. */
  let catchingUpFrom: number | undefined;
  let more = Promise.withResolvers<void>();
  ended.signal.addEventListener("abort", () => more.resolve());
  const working = work();

  return {
    push(fetched) {
      epoch = fetched.epoch ?? epoch;
      if (fetched.moved === "back") restart(fetched.next);
      else backlog.push(fetched);
      sendCatchUp();
      more.resolve();
    },
    pushDeferred(fetched) {
      if (fetched.moved === "back") {
        // The main cursor meets it too, and starts both anew.
        catchingUpFrom = undefined;
        options.onCatchUp(undefined);
        return;
      }
      backlog.pushDeferred(fetched);
      catchingUpFrom = fetched.next;
      sendCatchUp();
      more.resolve();
    },
    get hasRoom() {
      return backlog.hasRoom;
    },
    keeps: backlog.keeps,
    keepsDeferred: backlog.keepsDeferred,
    get lag() {
      const { oldestMs, lag } = backlog;
      const ageS = oldestMs === undefined ? 0 : Math.max(0, Date.now() - oldestMs) / 1_000;
      return { lag, ageS };
    },
    stop() {
      ended.abort();
      return working;
    },
  };

  async function work(): Promise<void> {
    while (!ended.signal.aborted) {
      if (!backlog.isReady) {
        advance(undefined); // past a gap that compaction left
        more = Promise.withResolvers<void>();
        await more.promise;
        continue;
      }
      const give = await slots.take();
      const records = ended.signal.aborted ? [] : backlog.take();
      if (records.length === 0) {
        give();
        continue;
      }
      options.onRoom();
      sendCatchUp();
      const { count, trace } = await handle(records, give);
      backlog.complete(count);
      sendCatchUp();
      advance(trace, records[0]?.timestamp);
    }
  }

  /** Settles one chunk. @returns how many records from the first on are done: all, unless it was stopped */
  async function handle(
    records: readonly FetchedRecord[],
    giveFirst: () => void,
  ): Promise<{ count: number; trace: SpanContext | undefined }> {
    let give = giveFirst;
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
    return { count, trace: poll?.context };
  }

  /** Reports the position if it moved; `handledMs`: when the first record of the last chunk was written. */
  function advance(trace: SpanContext | undefined, handledMs?: number): void {
    const { position, oldestMs } = backlog;
    if (position <= done) return;
    done = position;
    const times = [handledMs, oldestMs].filter((time) => time !== undefined);
    if (times.length > 0) timeMs = Math.min(...times);
    options.onSettled({ offset: done, epoch, timeMs }, trace);
  }

  /** The log was rolled back to `offset`: begins there, or at the first record that is not done when that is before. */
  function restart(offset: number): void {
    done = Math.min(done, offset);
    backlog.restart(done);
    if (done < offset) options.onRestart(done);
    options.onSettled({ offset: done, epoch, timeMs }, undefined);
  }

  /** Sends the catch-up cursor where the backlog wants it. */
  function sendCatchUp(): void {
    const from = backlog.catchUpFrom;
    if (from === catchingUpFrom) return;
    catchingUpFrom = from;
    options.onCatchUp(from);
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
