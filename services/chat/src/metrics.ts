/** What chat measures of its events: how long each took to become readable, and what its spans say of them. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { OUR_METRIC, OURS } from "@headgate/kit/semconv";
import { describeSpan, histogram, tracing } from "@headgate/kit/telemetry";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";

/** The word for what all events here ask. */
const ACTION = "chat_message";
/** Labels kept: dialects are few, unless something odd writes to the log. */
const DIALECTS_MAX = 50;

/** Makes the listeners that the consumer tells of its batches. */
export function createMetrics({ now = Date.now }: { now?: () => number } = {}) {
  const readable = histogram(OUR_METRIC.eventReadable, {
    description: "Time from the acceptance of an event until its message was announced.",
    unit: "s",
  });
  const known = new Map<string, Record<string, string>>();
  return { onEvents, onReadable };

  /** Says on the span what all events of a batch have in common. */
  function onEvents(events: readonly Event[]): void {
    if (!tracing()) return;
    const dialect = events[0]?.origin?.dialect;
    const isOne =
      dialect !== undefined && events.every(({ origin }) => origin?.dialect === dialect);
    describeSpan({ [OURS.action]: ACTION, ...(isOne && { [OURS.dialect]: dialect }) });
  }

  /** Notes messages that were announced just now. */
  function onReadable(messages: Iterable<Message>): void {
    const at = now();
    for (const { acceptedAt, origin } of messages) {
      if (!acceptedAt) continue;
      const labels = labelsOf(origin?.dialect ?? "");
      readable.record(Math.max(0, at - timestampMs(acceptedAt)) / 1000, labels);
    }
  }

  function labelsOf(dialect: string): Record<string, string> {
    let labels = known.get(dialect);
    if (labels === undefined) {
      labels = { [OURS.dialect]: dialect, [OURS.action]: ACTION };
      if (known.size < DIALECTS_MAX) known.set(dialect, labels);
    }
    return labels;
  }
}
