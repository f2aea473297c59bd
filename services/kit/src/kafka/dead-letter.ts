/** Records given up: kept as they were, with where they came from and why. */
import { AppError } from "../errors.ts";
import type { FetchedRecord } from "./batch.ts";
import type { Producer } from "./producer.ts";
import { RECORD_TOO_LARGE } from "./publish-errors.ts";
import {
  blockOf,
  encodeHeaders,
  type Header,
  joinBlocks,
  NO_HEADERS,
  type Prepared,
  prepareRecord,
} from "./record.ts";
import type { TopicSizes } from "./types.ts";

/** The topic that keeps what a group gave up of a topic. */
export function deadLetterOf(topic: string, group: string): string {
  return `${topic}.${group}.dead`;
}

/** Bytes that the headers of a dead letter add to its record, at most, and the batch around it. */
const HEAD_ROOM_BYTES = 64 * 1024;

/**
 * Sizes of the topic that keeps what was given up of another: the largest record that the broker took there, with head-room
 * for what a dead letter adds.
 */
export function deadLetterSizesOf({ batchBytesMax }: TopicSizes): TopicSizes {
  const recordBytesMax = batchBytesMax + HEAD_ROOM_BYTES / 2;
  return { recordBytesMax, batchBytesMax: batchBytesMax + HEAD_ROOM_BYTES };
}

/**
 * Keeps one record; resolves when it is acknowledged, with the bytes of its value that were left out (0: kept whole).
 * @throws as the producer does
 */
export type Bury = (record: FetchedRecord, reason: string) => Promise<number>;

/** Characters of a reason that are kept. */
const REASON_LENGTH_MAX = 200;
/** Bytes of key and of headers that a dead letter without value keeps: small enough for every topic. */
const KEY_BYTES_MAX = 1024;
const HEADERS_BYTES_MAX = 8 * 1024;

/**
 * Buries into `<topic>.<group>.dead`: key, value and headers as they were, and behind them `dead-reason`, `dead-topic`,
 * `dead-partition`, `dead-offset`, `dead-time` (ISO 8601).
 *
 * The dead letter is larger than its record. When the topic refuses it for its size, it is written again without its
 * value, so that no record can stop its partition: `dead-value-omitted` says how many bytes are missing, and
 * `dead-key-omitted` (key over 1 KiB) and `dead-headers-omitted` (headers over 8 KiB) likewise. The record itself stays
 * in its topic, at `dead-offset`, until retention deletes it.
 */
export function createBury(
  producer: Producer,
  from: {
    readonly topic: TopicSizes & { readonly name: string };
    readonly group: string;
    readonly partition: number;
  },
): Bury {
  const target = deadLetterOf(from.topic.name, from.group);
  const sizes = deadLetterSizesOf(from.topic);
  return async function bury(record, reason) {
    const why: Header[] = [
      ["dead-reason", reason.slice(0, REASON_LENGTH_MAX)],
      ["dead-topic", from.topic.name],
      ["dead-partition", String(from.partition)],
      ["dead-offset", String(record.offset)],
      ["dead-time", new Date().toISOString()],
    ];
    try {
      const headers = joinBlocks(blockOf(record.headers), encodeHeaders(why));
      const whole = prepareRecord(target, record.key ?? "", record.value, headers);
      await producer.publish([whole], sizes);
      return 0;
    } catch (thrown) {
      if (AppError.from(thrown).reason !== RECORD_TOO_LARGE) throw thrown;
    }
    await producer.publish([withoutValue(target, record, why)], sizes);
    return record.value?.length ?? 0;
  };
}

function withoutValue(target: string, record: FetchedRecord, why: Header[]): Prepared {
  const { value, key, headers } = record;
  const keepsKey = (key?.length ?? 0) <= KEY_BYTES_MAX;
  const keepsHeaders = headers.length <= HEADERS_BYTES_MAX;
  why.push(["dead-value-omitted", String(value?.length ?? 0)]);
  if (!keepsKey) why.push(["dead-key-omitted", String(key?.length)]);
  if (!keepsHeaders) why.push(["dead-headers-omitted", String(headers.length)]);
  const block = joinBlocks(keepsHeaders ? blockOf(headers) : NO_HEADERS, encodeHeaders(why));
  return prepareRecord(target, (keepsKey && key) || "", null, block);
}
