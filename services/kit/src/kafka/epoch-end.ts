/** The OffsetForLeaderEpoch request, version 3: laid out here because kafkajs does not know it. */
import type { RawRequest } from "./link.ts";

/** Where an epoch ends in one partition: its end offset, -1 when the leader does not know of the epoch. */
export type EpochEnd = { readonly code: number; readonly endOffset: number };

/**
 *     replica int32 = -1 | topics: name string | partitions: index int32 | current leader epoch int32 = -1 | epoch int32
 */
export function createEpochEnd(
  topic: string,
  partition: number,
  epoch: number,
): RawRequest<EpochEnd> {
  const nameLength = Buffer.byteLength(topic);
  const body = Buffer.alloc(4 + 4 + 2 + nameLength + 4 + 12);
  let at = body.writeInt32BE(-1, 0);
  at = body.writeInt32BE(1, at);
  at = body.writeInt16BE(nameLength, at);
  at += body.write(topic, at);
  at = body.writeInt32BE(1, at);
  at = body.writeInt32BE(partition, at);
  at = body.writeInt32BE(-1, at);
  body.writeInt32BE(epoch, at);
  return { apiKey: 23, apiVersion: 3, apiName: "OffsetForLeaderEpoch", body, decode: readEnd };
}

/**
 *     throttle int32 | topics: name string | partitions: error int16 | index int32 | epoch int32 | end offset int64
 */
function readEnd(payload: Buffer): EpochEnd {
  const at = 8 + 2 + payload.readInt16BE(8) + 4;
  return {
    code: payload.readInt16BE(at),
    endOffset: Number(payload.readBigInt64BE(at + 10)),
  };
}
