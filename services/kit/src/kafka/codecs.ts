/**
 * Decompression of batches: none, gzip, snappy, lz4 and zstd, by their numbers in the attributes of a batch. What we write
 * is not compressed.
 */
import { createRequire } from "node:module";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

/** Bytes that one compressed batch may become. */
const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

const require = createRequire(import.meta.url);
/** The native codecs are loaded with the first batch that needs them: where no binary fits the machine, all else works. */
const loadSnappy = () => require("snappy") as typeof import("snappy");
const loadLz4 = () => require("lz4-napi") as typeof import("lz4-napi");

/** @throws Error when the codec is not known, the bytes are damaged, or they become more than 64 MiB */
export function decompress(codec: number, bytes: Buffer): Buffer {
  switch (codec) {
    case 0:
      return bytes;
    case 1:
      return gunzipSync(bytes, { maxOutputLength: DECOMPRESSED_BYTES_MAX });
    case 2:
      return decompressSnappy(bytes);
    case 3:
      return decompressLz4(bytes);
    case 4:
      return zstdDecompressSync(bytes, { maxOutputLength: DECOMPRESSED_BYTES_MAX });
    default:
      throw new Error(`compression ${codec} is not known`);
  }
}

/** First bytes of the framing that Java's snappy library writes; raw snappy is written by others. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEAD_BYTES = 16;

/** Raw snappy, or xerial's framing: magic 8 bytes | version int32 | compatible int32 | blocks: length int32, raw snappy. */
function decompressSnappy(bytes: Buffer): Buffer {
  const { uncompressSync } = loadSnappy();
  const blocks: Buffer[] = [];
  if (XERIAL_MAGIC.equals(bytes.subarray(0, XERIAL_MAGIC.length))) {
    for (let at = XERIAL_HEAD_BYTES; at < bytes.length; ) {
      const start = at + 4;
      at = start + bytes.readInt32BE(at);
      if (at < start || at > bytes.length) throw new RangeError("a snappy block is cut off");
      blocks.push(bytes.subarray(start, at));
    }
  } else {
    blocks.push(bytes);
  }
  checkSize(blocks.reduce((sum, block) => sum + snappySize(block), 0));
  return Buffer.concat(blocks.map((block) => uncompressSync(block, { asBuffer: true }) as Buffer));
}

/** The uncompressed length that raw snappy begins with, a varint. */
function snappySize(block: Buffer): number {
  let size = 0;
  for (let at = 0; at < 5; at++) {
    const byte = block[at] ?? 0;
    size += (byte & 0x7f) * 128 ** at;
    if (byte < 0x80) break;
  }
  return size;
}

/** Bytes of a block at most, by the number in the frame's descriptor. */
const LZ4_BLOCK_BYTES_MAX = new Map([
  [4, 64 * 1024],
  [5, 256 * 1024],
  [6, 1024 * 1024],
  [7, 4 * 1024 * 1024],
]);

/**
 * One frame: magic int32 | flags int8 | block size int8 | content size int64, dictionary id int32 where the flags say so |
 * header checksum int8 | blocks: length int32 (highest bit: not compressed), bytes, checksum where the flags say so; all
 * little-endian. Its blocks are counted first, because the library takes no bound.
 */
function decompressLz4(bytes: Buffer): Buffer {
  const flags = bytes.readUInt8(4);
  const blockBytesMax = LZ4_BLOCK_BYTES_MAX.get((bytes.readUInt8(5) >> 4) & 7);
  if (blockBytesMax === undefined) throw new Error("the lz4 frame has an unknown block size");
  let at = 7 + ((flags & 0x08) === 0 ? 0 : 8) + ((flags & 0x01) === 0 ? 0 : 4);
  let blocks = 0;
  for (; at + 4 <= bytes.length; blocks++) {
    const length = bytes.readUInt32LE(at) & 0x7fffffff;
    if (length === 0) break;
    at += 4 + length + ((flags & 0x10) === 0 ? 0 : 4);
  }
  checkSize(blocks * blockBytesMax);
  return loadLz4().decompressFrameSync(bytes);
}

function checkSize(size: number): void {
  if (size > DECOMPRESSED_BYTES_MAX) {
    throw new RangeError(
      `a batch becomes up to ${size} bytes, more than ${DECOMPRESSED_BYTES_MAX}`,
    );
  }
}
