/** The Produce request, version 7: laid out here because the records in it are ours. */
import type { RawRequest } from "./link.ts";

/** Version of the request as it is laid out here. */
export const PRODUCE_VERSION = 7;

/** A batch on its way to a partition. */
export type Part = { readonly topic: string; readonly partition: number; readonly bytes: Buffer };

/** What the broker said of one partition's batch; 0: stored. */
export type PartResult = {
  readonly topic: string;
  readonly partition: number;
  readonly code: number;
};

/**
 *     transactional id nullable string | acks int16 | timeout int32 | topics: name string
 *     | partitions: index int32 | batch length int32 | batch
 *
 * At most one batch per partition. `timeoutMs` bounds how long the broker waits for replicas.
 */
export function createProduce(
  parts: readonly Part[],
  timeoutMs: number,
): RawRequest<readonly PartResult[]> {
  const byTopic = Map.groupBy(parts, (part) => part.topic);
  let size = 12;
  for (const [topic, list] of byTopic) {
    size += 6 + Buffer.byteLength(topic);
    for (const { bytes } of list) size += 8 + bytes.length;
  }
  const body = Buffer.allocUnsafe(size);
  body.writeInt16BE(-1, 0); // no transaction
  body.writeInt16BE(-1, 2); // all in-sync replicas
  body.writeInt32BE(timeoutMs, 4);
  body.writeInt32BE(byTopic.size, 8);
  let at = 12;
  for (const [topic, list] of byTopic) {
    const length = body.write(topic, at + 2);
    body.writeInt16BE(length, at);
    at = body.writeInt32BE(list.length, at + 2 + length);
    for (const { partition, bytes } of list) {
      at = body.writeInt32BE(partition, at);
      at = body.writeInt32BE(bytes.length, at);
      at += bytes.copy(body, at);
    }
  }
  return { apiKey: 0, apiVersion: PRODUCE_VERSION, apiName: "Produce", body, decode: readResults };
}

/**
 *     topics: name string | partitions: index int32 | error int16 | base offset int64 | append time int64
 *     | log start offset int64; then throttle ms int32
 */
function readResults(payload: Buffer): PartResult[] {
  const results: PartResult[] = [];
  let at = 4;
  for (let topics = payload.readInt32BE(0); topics > 0; topics--) {
    const nameEnd = at + 2 + payload.readInt16BE(at);
    const topic = payload.toString("utf8", at + 2, nameEnd);
    const count = payload.readInt32BE(nameEnd);
    at = nameEnd + 4;
    for (let left = count; left > 0; left--, at += 30) {
      results.push({
        topic,
        partition: payload.readInt32BE(at),
        code: payload.readInt16BE(at + 4),
      });
    }
  }
  return results;
}
