import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { decodeBatches, encodeBatch } from "./batch.ts";
import { crc32c } from "./crc32c.ts";
import { murmur2, partitionOf } from "./partition.ts";
import {
  blockOf,
  encodeHeaders,
  joinBlocks,
  NO_HEADERS,
  prepareRecord,
  readHeaders,
  readVarint,
  readVarlong,
  varintSize,
  writeVarint,
} from "./record.ts";

const PRODUCER = { id: 77n, epoch: 3 };

function buildBatch({ count = 3, sequence = 0, base = 0 } = {}): Buffer {
  const records = Array.from({ length: count }, (_, at) =>
    prepareRecord("t", `key-${at}`, Buffer.from(`value ${at}`), NO_HEADERS),
  );
  const bytes = encodeBatch(records, PRODUCER, sequence, 1_700_000_000_000);
  bytes.writeBigInt64BE(BigInt(base)); // as the broker does when it stores it
  return bytes;
}

/** The batch with its records compressed, as another producer may send it. */
function compress(batch: Buffer, codec: number, pack: (bytes: Buffer) => Buffer): Buffer {
  const packed = Buffer.concat([batch.subarray(0, 61), pack(batch.subarray(61))]);
  packed.writeInt32BE(packed.length - 12, 8);
  packed.writeInt16BE(codec, 21);
  packed.writeUInt32BE(crc32c(packed, 21), 17);
  return packed;
}

const offsets = (bytes: Buffer, from = 0) =>
  decodeBatches(bytes, from).records.map(({ offset }) => offset);

describe("checksum and partition", () => {
  test("the checksum is CRC-32C, whatever the length", () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa); // RFC 3720, B.4
    expect(crc32c(Buffer.alloc(32, 255))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from("xx123456789y"), 2, 11)).toBe(0xe3069283);
  });

  test("keys hash as in Kafka's own clients", () => {
    // Values of Kafka's UtilsTest.testMurmur2.
    expect(murmur2(Buffer.from("21"))).toBe(-973932308);
    expect(murmur2(Buffer.from("foobar"))).toBe(-790332482);
    expect(murmur2(Buffer.from("a-little-bit-long-string"))).toBe(-985981536);
    expect(murmur2(Buffer.from("a-little-bit-longer-string"))).toBe(-1486304829);
    expect(murmur2(Buffer.from("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"))).toBe(
      -58897971,
    );
    expect(murmur2(Buffer.from("abc"))).toBe(479470107);
  });

  test("a partition is never negative and always there", () => {
    for (let at = 0; at < 500; at++) {
      const key = Buffer.from(`key ${at}`);
      const partition = partitionOf(key, 0, key.length, 12);
      expect(partition).toBeGreaterThanOrEqual(0);
      expect(partition).toBeLessThan(12);
    }
  });
});

describe("numbers", () => {
  test.each([0, -1, 1, 63, 64, -64, -65, 300, 2_147_483_647, -2_147_483_648])(
    "%i is read as it was written",
    (value) => {
      const bytes = Buffer.alloc(10);
      const end = writeVarint(bytes, 0, value);
      expect(end).toBe(varintSize(value));
      const cursor = { at: 0 };
      expect(readVarint(bytes, cursor)).toBe(value);
      expect(cursor.at).toBe(end);
      expect(readVarlong(bytes, { at: 0 })).toBe(value);
    },
  );

  test("a number without an end is refused", () => {
    expect(() => readVarint(Buffer.from([0x80]), { at: 0 })).toThrow(RangeError);
    expect(() => readVarint(Buffer.alloc(9, 0xff), { at: 0 })).toThrow(RangeError);
    expect(() => readVarlong(Buffer.alloc(12, 0xff), { at: 0 })).toThrow(RangeError);
  });
});

describe("records", () => {
  test("come out as they went in: key, value, headers, time, offset", () => {
    const constant = encodeHeaders([["ce_type", "täst"]]);
    const records = [
      prepareRecord("t", "kanal-ü", Buffer.from("one"), constant, ["ce_id", "id-1"]),
      prepareRecord("t", "", null, NO_HEADERS),
      prepareRecord("t", Buffer.from([0, 255]), Buffer.alloc(0), NO_HEADERS),
    ];
    const bytes = encodeBatch(records, PRODUCER, 5, 1_700_000_000_000);
    bytes.writeBigInt64BE(40n);
    const { records: read, next } = decodeBatches(bytes, 0);
    expect(next).toBe(43);
    expect(read.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [40, 1_700_000_000_000],
      [41, 1_700_000_000_000],
      [42, 1_700_000_000_000],
    ]);
    expect(read[0]?.key?.toString()).toBe("kanal-ü");
    expect(read[0]?.value?.toString()).toBe("one");
    expect([...readHeaders(read[0]?.headers ?? Buffer.from([0]))]).toEqual([
      { name: "ce_type", value: Buffer.from("täst") },
      { name: "ce_id", value: Buffer.from("id-1") },
    ]);
    expect(read[1]?.value).toBeNull();
    expect(read[2]?.key).toEqual(Buffer.from([0, 255]));
    expect(read[2]?.value).toEqual(Buffer.alloc(0));
  });

  test("headers are carried on unchanged in front of new ones", () => {
    const bytes = encodeBatch(
      [prepareRecord("t", "k", null, encodeHeaders([["a", Buffer.from([0, 1])]]))],
      PRODUCER,
      0,
      0,
    );
    const [record] = decodeBatches(bytes, 0).records;
    const joined = joinBlocks(
      blockOf(record?.headers ?? Buffer.from([0])),
      encodeHeaders([["b", "2"]]),
    );
    const again = encodeBatch([prepareRecord("t", "k", null, joined)], PRODUCER, 0, 0);
    const headers = decodeBatches(again, 0).records[0]?.headers ?? Buffer.from([0]);
    expect([...readHeaders(headers)]).toEqual([
      { name: "a", value: Buffer.from([0, 1]) },
      { name: "b", value: Buffer.from("2") },
    ]);
  });
});

describe("batches", () => {
  test("records before the position asked for are left out", () => {
    expect(offsets(buildBatch({ count: 5, base: 10 }), 12)).toEqual([12, 13, 14]);
  });

  test("a batch that was cut off is left for the next fetch", () => {
    const two = Buffer.concat([buildBatch({ base: 0 }), buildBatch({ base: 3 })]);
    const { records, next } = decodeBatches(two.subarray(0, two.length - 1), 0);
    expect(records.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    expect(next).toBe(3);
  });

  test("a batch that compaction emptied is passed over", () => {
    const empty = buildBatch({ count: 1, base: 7 }).subarray(0, 61);
    empty.writeInt32BE(61 - 12, 8);
    empty.writeInt32BE(4, 23); // it once held five
    empty.writeInt32BE(0, 57);
    empty.writeUInt32BE(crc32c(empty, 21), 17);
    expect(decodeBatches(empty, 7)).toMatchObject({ records: [], next: 12 });
  });

  test("markers of transactions are passed over", () => {
    const marker = buildBatch({ count: 1, base: 2 });
    marker.writeInt16BE(0x30, 21);
    marker.writeUInt32BE(crc32c(marker, 21), 17);
    expect(decodeBatches(marker, 0)).toMatchObject({ records: [], next: 3 });
  });

  test("records that are not wanted are left out and counted, and a batch without wanted ones is passed over", () => {
    const bytes = Buffer.concat([
      buildBatch({ count: 3, base: 0 }),
      buildBatch({ count: 3, base: 3 }),
    ]);
    const wanted = decodeBatches(bytes, 1, (_, offset) => offset === 2);
    expect(wanted.records.map(({ offset }) => offset)).toEqual([2]);
    expect(wanted).toMatchObject({ skipped: 4, next: 6 });
    const none = decodeBatches(bytes, 0, () => false);
    expect(none).toMatchObject({ records: [], skipped: 6, next: 6 });
    bytes[70] = (bytes[70] ?? 0) ^ 1;
    expect(() => decodeBatches(bytes, 0, () => true)).toThrow("damaged");
  });

  test("a damaged batch is refused", () => {
    const bytes = buildBatch();
    bytes[70] = (bytes[70] ?? 0) ^ 1;
    expect(() => decodeBatches(bytes, 0)).toThrow("damaged");
  });

  test("compressed batches are read, and a codec that is not known is named", () => {
    expect(offsets(compress(buildBatch(), 1, gzipSync))).toEqual([0, 1, 2]);
    expect(offsets(compress(buildBatch(), 4, zstdCompressSync))).toEqual([0, 1, 2]);
    expect(() =>
      decodeBatches(
        compress(buildBatch(), 5, (b) => b),
        0,
      ),
    ).toThrow("compression 5");
  });
});
