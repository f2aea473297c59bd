/**
 * Batches of records, format 2:
 *
 *     base offset int64 | length int32 | leader epoch int32 | magic int8 = 2 | crc-32c uint32 of all that follows
 *     | attributes int16 | last offset delta int32 | base timestamp int64 | max timestamp int64
 *     | producer id int64 | producer epoch int16 | base sequence int32 | record count int32 | records
 */
import { decompress } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import { type Prepared, readVarint, readVarlong, varintSize, writeVarint } from "./record.ts";

/** A record read from a partition. Bytes are views into what was fetched. */
export type FetchedRecord = {
  readonly offset: number;
  /** ms since 1970. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Encoded, count first: see `readHeaders`. */
  readonly headers: Buffer;
};

/** Which records are wanted. */
export type Keep = (key: Buffer | null, offset: number) => boolean;

/** What was read of a partition. */
export type Decoded = {
  readonly records: FetchedRecord[];
  /** Where to read on. */
  readonly next: number;
  /** Records that `keep` left out. */
  readonly skipped: number;
  /** The leader epoch of the last batch; undefined when there is none. */
  readonly epoch: number | undefined;
};

/** Bytes of a batch before its records. */
const HEAD_BYTES = 61;
const CRC_AT = 17;
/** Records left out for each that is kept from which on those that are kept are copied. */
const SPARSE = 3;
const ATTRIBUTES_AT = 21;

/** Bytes that a record takes in a batch, at most. */
export function recordBytes({ tail }: Prepared): number {
  return tail.length + 12;
}

/** A batch of these records, in their order, all with the time `now`; `sequence` is the first one's. */
export function encodeBatch(
  records: readonly Prepared[],
  producer: { readonly id: bigint; readonly epoch: number },
  sequence: number,
  now: number,
): Buffer {
  let size = HEAD_BYTES;
  for (let index = 0; index < records.length; index++) {
    const { tail } = records[index] as Prepared; // index is below length
    const length = 2 + varintSize(index) + tail.length;
    size += varintSize(length) + length;
  }
  const bytes = Buffer.allocUnsafe(size);
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(size - 12, 8);
  bytes.writeInt32BE(-1, 12);
  bytes[16] = 2;
  bytes.writeInt16BE(0, ATTRIBUTES_AT);
  bytes.writeInt32BE(records.length - 1, 23);
  bytes.writeBigInt64BE(BigInt(now), 27);
  bytes.writeBigInt64BE(BigInt(now), 35);
  bytes.writeBigInt64BE(producer.id, 43);
  bytes.writeInt16BE(producer.epoch, 51);
  bytes.writeInt32BE(sequence, 53);
  bytes.writeInt32BE(records.length, 57);
  let at = HEAD_BYTES;
  for (let index = 0; index < records.length; index++) {
    const { tail } = records[index] as Prepared; // index is below length
    at = writeVarint(bytes, at, 2 + varintSize(index) + tail.length);
    bytes[at++] = 0; // attributes
    bytes[at++] = 0; // timestamp delta
    at = writeVarint(bytes, at, index);
    at += tail.copy(bytes, at);
  }
  bytes.writeUInt32BE(crc32c(bytes, ATTRIBUTES_AT), CRC_AT);
  return bytes;
}

/**
 * The records at `from` and after, or those of them that `keep` wants. `next` is where to read on: past the last whole
 * batch, also when compaction left nothing in it. A batch that the fetch cut off is left for the next one; markers of
 * transactions are passed over.
 * @throws Error when a batch is damaged or does not decompress
 */
export function decodeBatches(bytes: Buffer, from: number, keep?: Keep): Decoded {
  const records: FetchedRecord[] = [];
  let epoch: number | undefined;
  let skipped = 0;
  let next = from;
  for (let start = 0; start + HEAD_BYTES <= bytes.length; ) {
    const end = start + 12 + bytes.readInt32BE(start + 8);
    if (end > bytes.length) break;
    const base = Number(bytes.readBigInt64BE(start));
    if (bytes[start + 16] !== 2) throw new Error(`batch at ${base} has an old format`);
    epoch = bytes.readInt32BE(start + 12);
    const attributes = bytes.readInt16BE(start + ATTRIBUTES_AT);
    const last = base + bytes.readInt32BE(start + 23);
    const unwanted = keep && countUnwanted(bytes.subarray(start, end), base, from, keep);
    if (unwanted !== undefined) {
      skipped += unwanted;
      next = Math.max(next, last + 1);
      start = end;
      continue;
    }
    if (crc32c(bytes, start + ATTRIBUTES_AT, end) !== bytes.readUInt32BE(start + CRC_AT)) {
      throw new Error(`batch at ${base} is damaged`);
    }
    if (last >= from && (attributes & 0x20) === 0) {
      const time = Number(bytes.readBigInt64BE(start + 27));
      const maxTime = Number(bytes.readBigInt64BE(start + 35));
      const count = bytes.readInt32BE(start + 57);
      const body = decompress(attributes & 7, bytes.subarray(start + HEAD_BYTES, end));
      const appendTime = (attributes & 8) === 0 ? undefined : maxTime;
      skipped += readRecords(body, count, { base, from, time, appendTime, keep }, records);
    }
    next = Math.max(next, last + 1);
    start = end;
  }
  // Few records of many would keep all that was fetched in memory.
  const isSparse = keep !== undefined && records.length * SPARSE < skipped;
  return { records: isSparse ? records.map(copyOf) : records, next, skipped, epoch };
}

/**
 * The records of a batch that is not compressed, when `keep` wants none of them; undefined: decode it. Passing over a batch
 * is a fraction of decoding it: its checksum is left to whoever decodes it.
 */
function countUnwanted(batch: Buffer, base: number, from: number, keep: Keep): number | undefined {
  if ((batch.readInt16BE(ATTRIBUTES_AT) & 0x27) !== 0) return undefined;
  const cursor = { at: HEAD_BYTES };
  let unwanted = 0;
  for (let left = batch.readInt32BE(57); left > 0; left--) {
    const length = readVarint(batch, cursor);
    const end = cursor.at + length;
    if (length < 0 || end > batch.length) return undefined; // damaged: the checksum says so
    cursor.at += 1; // attributes, unused
    readVarlong(batch, cursor);
    const offset = base + readVarint(batch, cursor);
    if (offset >= from) {
      if (keep(readBytes(batch, cursor), offset)) return undefined;
      unwanted++;
    }
    cursor.at = end;
  }
  return unwanted;
}

type BatchHead = {
  readonly base: number;
  readonly from: number;
  readonly time: number;
  readonly appendTime: number | undefined;
  readonly keep: Keep | undefined;
};

/** @returns how many `keep` left out */
function readRecords(
  body: Buffer,
  count: number,
  { base, from, time, appendTime, keep }: BatchHead,
  into: FetchedRecord[],
): number {
  const cursor = { at: 0 };
  let skipped = 0;
  for (let left = count; left > 0; left--) {
    const length = readVarint(body, cursor);
    const end = cursor.at + length;
    if (end > body.length) throw new RangeError("the record is cut off");
    cursor.at += 1; // attributes, unused
    const timeDelta = readVarlong(body, cursor);
    const offset = base + readVarint(body, cursor);
    const key = readBytes(body, cursor);
    if (offset >= from) {
      if (keep === undefined || keep(key, offset)) {
        const timestamp = appendTime ?? time + timeDelta;
        const value = readBytes(body, cursor);
        into.push({ offset, timestamp, key, value, headers: body.subarray(cursor.at, end) });
      } else {
        skipped++;
      }
    }
    cursor.at = end;
  }
  return skipped;
}

/** The leader epoch of the first batch; undefined when there is no batch. */
export function readEpoch(bytes: Buffer): number | undefined {
  return bytes.length < HEAD_BYTES ? undefined : bytes.readInt32BE(12);
}

/** The record without the bytes around it, which a view would keep in memory. */
export function copyOf(record: FetchedRecord): FetchedRecord {
  return {
    ...record,
    key: record.key && Buffer.from(record.key),
    value: record.value && Buffer.from(record.value),
    headers: Buffer.from(record.headers),
  };
}

function readBytes(body: Buffer, cursor: { at: number }): Buffer | null {
  const length = readVarint(body, cursor);
  if (length < 0) return null;
  const start = cursor.at;
  cursor.at += length;
  return body.subarray(start, cursor.at);
}
