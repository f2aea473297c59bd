/** Spans of what a consumer does: poll, process, dead letter. */
import { AppError } from "../errors.ts";
import { ATTR, OURS } from "../semconv.ts";
import { parseTraceparent, type Span, type SpanContext, startSpan } from "../telemetry.ts";
import type { FetchedRecord } from "./batch.ts";
import { deadLetterOf } from "./dead-letter.ts";
import type { Outcome } from "./outcome.ts";
import { TRACEPARENT } from "./publisher.ts";
import { readHeaders } from "./record.ts";

/** Begins the spans of one partition. */
export type ConsumeSpans = {
  /** What was fetched, linked to all that wrote it. Over at once: waiting for records makes no span. */
  startPoll(records: readonly FetchedRecord[]): Span;
  /** One record: a child of what wrote it. Several: a root of its own with links. */
  startProcess(records: readonly FetchedRecord[], poll: SpanContext | undefined): Span;
  /** A record given up; `parent` is the span that gave it up. */
  startBury(record: FetchedRecord, reason: string, parent: SpanContext | undefined): Span;
};

/** The spans of a group on one partition. */
export function createConsumeSpans(of: {
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
  readonly clientId: string;
}): ConsumeSpans {
  /** Who wrote a record: asked for at the poll and again at the process. */
  const origins = new WeakMap<FetchedRecord, SpanContext>();
  return { startPoll, startProcess, startBury };

  function startPoll(records: readonly FetchedRecord[]): Span {
    const span = startSpan(`poll ${of.topic}`, {
      kind: "client",
      root: true,
      links: originsOf(records),
      attributes: { ...attributes("poll", "receive"), [ATTR.messagingBatchCount]: records.length },
    });
    span.end();
    return span;
  }

  function startProcess(records: readonly FetchedRecord[], poll: SpanContext | undefined): Span {
    const writers = originsOf(records);
    const single = records.length === 1 ? records[0] : undefined;
    const parent = single && writers[0];
    return startSpan(`process ${of.topic}`, {
      kind: "consumer",
      ...(parent ? { parent } : { root: true }),
      links: poll ? [...writers, poll] : writers,
      attributes: {
        ...attributes("process", "process"),
        ...(single ? describeRecord(single) : { [ATTR.messagingBatchCount]: records.length }),
      },
    });
  }

  function startBury(record: FetchedRecord, reason: string, parent: SpanContext | undefined): Span {
    const target = deadLetterOf(of.topic, of.group);
    return startSpan(`send ${target}`, {
      kind: "producer",
      ...(parent ? { parent } : { root: true }),
      links: originsOf([record]),
      attributes: {
        ...attributes("send", "send"),
        [ATTR.messagingDestination]: target,
        [OURS.reason]: reason,
      },
    });
  }

  function originsOf(records: readonly FetchedRecord[]): SpanContext[] {
    return records.flatMap((record) => originOf(record) ?? []);
  }

  function originOf(record: FetchedRecord): SpanContext | undefined {
    const known = origins.get(record);
    if (known) return known;
    const origin = parseTraceparent(headerOf(record, TRACEPARENT));
    if (origin) origins.set(record, origin);
    return origin;
  }

  function attributes(operation: string, type: string): Record<string, string> {
    return {
      [ATTR.messagingSystem]: "kafka",
      [ATTR.messagingDestination]: of.topic,
      [ATTR.messagingOperation]: operation,
      [ATTR.messagingOperationType]: type,
      [ATTR.messagingGroup]: of.group,
      [ATTR.messagingClientId]: of.clientId,
      [ATTR.messagingPartition]: String(of.partition),
    };
  }
}

/** One outcome for all is told on the span; `retry` and `dead` make it a failure. */
export function describeOutcomes(span: Span, outcomes: readonly Outcome[]): void {
  const kinds = new Set(outcomes.map(({ kind }) => kind));
  const [kind] = kinds;
  if (kinds.size === 1 && kind !== undefined) span.set({ [OURS.outcome]: kind });
  for (const outcome of outcomes) {
    if (outcome.kind !== "retry" && outcome.kind !== "dead") continue;
    span.set({ [OURS.reason]: outcome.reason });
    span.fail(new AppError("aborted", outcome.reason, outcome.kind));
    return;
  }
}

function describeRecord(record: FetchedRecord): Record<string, string | number> {
  const id = headerOf(record, "ce_id");
  return {
    [ATTR.kafkaOffset]: record.offset,
    [ATTR.kafkaKey]: record.key?.toString("utf8") ?? "",
    ...(id === undefined ? {} : { [ATTR.messagingMessageId]: id }),
  };
}

function headerOf(record: FetchedRecord, wanted: string): string | undefined {
  for (const { name, value } of readHeaders(record.headers)) {
    if (name === wanted) return value.toString("utf8");
  }
  return undefined;
}
