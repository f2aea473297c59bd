/** Records given up: kept as they were, with where they came from and why. */
import type { FetchedRecord } from "./batch.ts";
import type { Producer } from "./producer.ts";
import { blockOf, encodeHeaders, joinBlocks, prepareRecord } from "./record.ts";
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

/** Keeps one record; resolves when it is acknowledged. @throws as the producer does */
export type Bury = (record: FetchedRecord, reason: string) => Promise<void>;

/** Characters of a reason that are kept. */
const REASON_LENGTH_MAX = 200;

/**
 * Buries into `<topic>.<group>.dead`: key, value and headers as they were, and behind them `dead-reason`, `dead-topic`,
 * `dead-partition`, `dead-offset`, `dead-time` (ISO 8601).
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
    const why = encodeHeaders([
      ["dead-reason", reason.slice(0, REASON_LENGTH_MAX)],
      ["dead-topic", from.topic.name],
      ["dead-partition", String(from.partition)],
      ["dead-offset", String(record.offset)],
      ["dead-time", new Date().toISOString()],
    ]);
    const headers = joinBlocks(blockOf(record.headers), why);
    const letter = prepareRecord(target, record.key ?? "", record.value, headers);
    await producer.publish([letter], sizes);
  };
}
