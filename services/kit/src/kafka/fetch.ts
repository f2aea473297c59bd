/** The Fetch request, version 11: laid out here because kafkajs decodes records slowly and fails all for one partition. */
import type { RawRequest } from "./link.ts";

/** Version of the request as it is laid out here. */
export const FETCH_VERSION = 11;

/** What came of one partition. */
export type FetchedPart = {
  readonly partition: number;
  /** 0: fine. */
  readonly code: number;
  readonly highWatermark: number;
  /** Encoded batches; the last may be cut off. */
  readonly bytes: Buffer;
};

/**
 *     replica int32 | max wait int32 | min bytes int32 | max bytes int32 | isolation int8 | session int32 | epoch int32
 *     | topics: name string | partitions: index int32 | leader epoch int32 | offset int64 | log start int64
 *     | max bytes int32; then forgotten topics (none) int32 | rack string
 *
 * Reads what is not committed by transactions too: nobody here uses them.
 */
export function createFetch(
  topic: string,
  positions: readonly { partition: number; offset: number }[],
  bounds: { waitMs: number; bytesMax: number; partBytesMax: number },
): RawRequest<readonly FetchedPart[]> {
  const nameLength = Buffer.byteLength(topic);
  const body = Buffer.alloc(25 + 4 + 2 + nameLength + 4 + positions.length * 28 + 4 + 2);
  body.writeInt32BE(-1, 0);
  body.writeInt32BE(bounds.waitMs, 4);
  body.writeInt32BE(1, 8); // answer as soon as there is anything
  body.writeInt32BE(bounds.bytesMax, 12);
  body.writeInt32BE(-1, 21); // no fetch session
  body.writeInt32BE(1, 25);
  body.writeInt16BE(nameLength, 29);
  body.write(topic, 31);
  let at = body.writeInt32BE(positions.length, 31 + nameLength);
  for (const { partition, offset } of positions) {
    at = body.writeInt32BE(partition, at);
    at = body.writeInt32BE(-1, at);
    at = body.writeBigInt64BE(BigInt(offset), at);
    at = body.writeBigInt64BE(-1n, at);
    at = body.writeInt32BE(bounds.partBytesMax, at);
  }
  return { apiKey: 1, apiVersion: FETCH_VERSION, apiName: "Fetch", body, decode: readParts };
}

/**
 *     throttle int32 | error int16 | session int32 | topics: name string | partitions: index int32 | error int16
 *     | high watermark int64 | last stable int64 | log start int64 | aborted: (producer int64, offset int64)
 *     | preferred replica int32 | batches bytes
 */
function readParts(payload: Buffer): FetchedPart[] {
  const parts: FetchedPart[] = [];
  let at = 14;
  for (let topics = payload.readInt32BE(10); topics > 0; topics--) {
    at += 2 + payload.readInt16BE(at);
    const count = payload.readInt32BE(at);
    at += 4;
    for (let left = count; left > 0; left--) {
      const partition = payload.readInt32BE(at);
      const code = payload.readInt16BE(at + 4);
      const highWatermark = Number(payload.readBigInt64BE(at + 6));
      const aborted = Math.max(payload.readInt32BE(at + 30), 0);
      const lengthAt = at + 34 + aborted * 16 + 4;
      const length = Math.max(payload.readInt32BE(lengthAt), 0);
      at = lengthAt + 4 + length;
      parts.push({ partition, code, highWatermark, bytes: payload.subarray(at - length, at) });
    }
  }
  return parts;
}
