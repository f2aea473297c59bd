/** Turns values into records: protobuf value, key by the topic's rule, CloudEvents headers (Kafka binding, binary mode). */
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ATTR } from "../semconv.ts";
import { activeSpan, formatTraceparent, startSpan, tracing } from "../telemetry.ts";
import type { Producer } from "./producer.ts";
import {
  encodeHeaders,
  type Header,
  type HeaderBlock,
  joinBlocks,
  type Prepared,
  prepareRecord,
} from "./record.ts";
import type { Publish, RawRecord, Topic, TopicSizes } from "./types.ts";

/** Header that carries the trace; written once and kept through dead letters. */
export const TRACEPARENT = "traceparent";

/** Sizes of records whose topic is known by name only: those of a topic with Kafka's default settings. */
export const DEFAULT_SIZES: TopicSizes = { recordBytesMax: 1_048_000, batchBytesMax: 1_048_588 };

/** A publisher of one topic over the producer of the process. */
export function createPublisher<Desc extends DescMessage>(
  producer: Producer,
  topic: Topic<Desc>,
  clientId: string,
): Publish<Desc> {
  const constant = encodeHeaders([
    ["ce_specversion", "1.0"],
    ["ce_type", topic.eventType],
    ["ce_source", "headgate"],
    ["content-type", "application/protobuf"],
  ]);

  return async function publish(values, options = {}) {
    if (values.length === 0) return;
    const { trace, atomic } = options;
    if (!tracing()) return producer.publish(encode(values, trace ?? activeSpan()), topic, atomic);
    const span = startSpan(`send ${topic.name}`, {
      kind: "producer",
      parent: trace ?? activeSpan(),
      attributes: {
        [ATTR.messagingSystem]: "kafka",
        [ATTR.messagingDestination]: topic.name,
        [ATTR.messagingOperation]: "send",
        [ATTR.messagingOperationType]: "send",
        [ATTR.messagingClientId]: clientId,
        ...describe(values),
      },
    });
    try {
      await producer.publish(encode(values, span.context ?? trace), topic, atomic);
    } catch (thrown) {
      span.fail(thrown);
      throw thrown;
    } finally {
      span.end();
    }
  };

  function encode(
    values: readonly MessageShape<Desc>[],
    trace: Parameters<typeof formatTraceparent>[0] | undefined,
  ): Prepared[] {
    const time = timeText();
    const parent = trace && formatTraceparent(trace);
    return values.map((value) => {
      const id = idOf(value);
      const ascii = ["ce_time", time];
      let block = constant;
      if (id !== undefined) {
        if (isShortAscii(id)) ascii.push("ce_id", id);
        else block = joinBlocks(constant, encodeHeaders([["ce_id", id]]));
      }
      if (parent) ascii.push(TRACEPARENT, parent);
      const bytes = toBinary(topic.schema, value);
      return prepareRecord(topic.name, topic.keyOf(value), bytes, block, ascii);
    });
  }

  function describe(values: readonly MessageShape<Desc>[]): Record<string, string | number> {
    const [value] = values;
    if (values.length > 1 || value === undefined)
      return { [ATTR.messagingBatchCount]: values.length };
    const id = idOf(value);
    return {
      [ATTR.kafkaKey]: topic.keyOf(value),
      ...(id === undefined ? {} : { [ATTR.messagingMessageId]: id }),
    };
  }
}

/** Encoded records as they are, for the outbox. */
export function prepareRaw(records: readonly RawRecord[]): Prepared[] {
  return records.map(({ topic, key, value, headers = {} }) => {
    const list: Header[] = Object.entries(headers);
    return prepareRecord(topic, key, value, encodeHeaders(list) satisfies HeaderBlock);
  });
}

/** The id of an event: its own, or that of the message it carries. */
function idOf(value: object): string | undefined {
  if ("id" in value && typeof value.id === "string" && value.id !== "") return value.id;
  if ("message" in value && typeof value.message === "object" && value.message !== null) {
    const { id } = value.message as { id?: unknown };
    if (typeof id === "string" && id !== "") return id;
  }
  return undefined;
}

function isShortAscii(text: string): boolean {
  return text.length < 64 && /^[\x20-\x7e]*$/.test(text);
}

let timeMs = 0;
let timeIso = "";

/** Now in ISO 8601, made once per ms. */
function timeText(): string {
  const now = Date.now();
  if (now !== timeMs) {
    timeMs = now;
    timeIso = new Date(now).toISOString();
  }
  return timeIso;
}
