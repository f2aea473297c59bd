/** Records given up: kept as they were, with where they came from and why. */
import type { FetchedRecord } from "./batch.ts";
import type { Producer } from "./producer.ts";
import { blockOf, encodeHeaders, joinBlocks, prepareRecord } from "./record.ts";

/** The topic that keeps what a group gave up of a topic. */
export function deadLetterOf(topic: string, group: string): string {
  return `${topic}.${group}.dead`;
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
  from: { readonly topic: string; readonly group: string; readonly partition: number },
): Bury {
  const target = deadLetterOf(from.topic, from.group);
  return async function bury(record, reason) {
    const why = encodeHeaders([
      ["dead-reason", reason.slice(0, REASON_LENGTH_MAX)],
      ["dead-topic", from.topic],
      ["dead-partition", String(from.partition)],
      ["dead-offset", String(record.offset)],
      ["dead-time", new Date().toISOString()],
    ]);
    const headers = joinBlocks(blockOf(record.headers), why);
    await producer.publish([prepareRecord(target, record.key ?? "", record.value, headers)]);
  };
}
