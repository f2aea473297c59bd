import { gzipSync, zstdCompressSync } from "node:zlib";
import { compressFrameSync } from "lz4-napi";
import { compressSync } from "snappy";
import { describe, expect, test } from "vitest";
import { decompress } from "./codecs.ts";

const SNAPPY = 2;
const LZ4 = 3;
const text = Buffer.from("an alert of average length, repeated. ".repeat(5_000));

/** As Java's snappy library frames: blocks of 32 KiB. */
function xerial(bytes: Buffer): Buffer {
  const parts = [
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1]),
  ];
  for (let at = 0; at < bytes.length; at += 32_768) {
    const block = Buffer.from(compressSync(bytes.subarray(at, at + 32_768)));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

describe("decompress", () => {
  test.each([
    ["none", 0, text],
    ["gzip", 1, gzipSync(text)],
    ["snappy, framed as Java does", SNAPPY, xerial(text)],
    ["snappy, raw", SNAPPY, compressSync(text)],
    ["lz4", LZ4, compressFrameSync(text)],
    ["lz4 with checksums", LZ4, compressFrameSync(text, { blockChecksums: true })],
    ["zstd", 4, zstdCompressSync(text)],
  ])("reads %s", (_, codec, bytes) => {
    expect(decompress(codec, bytes).equals(text)).toBe(true);
  });

  test.each([
    ["gzip", 1, gzipSync(Buffer.alloc(70_000_000))],
    ["snappy", SNAPPY, xerial(Buffer.alloc(70_000_000))],
    ["lz4", LZ4, compressFrameSync(Buffer.alloc(70_000_000))],
    ["zstd", 4, zstdCompressSync(Buffer.alloc(70_000_000))],
  ])("refuses what becomes more than 64 MiB: %s", (_, codec, bytes) => {
    expect(() => decompress(codec, bytes)).toThrow(/more than|larger than/);
  });

  test.each([
    ["snappy", SNAPPY, xerial(text).subarray(0, 500)],
    ["lz4", LZ4, compressFrameSync(text).subarray(0, 300)],
  ])("refuses bytes that are cut off: %s", (_, codec, bytes) => {
    expect(() => decompress(codec, bytes)).toThrow();
  });

  test("names a codec that it does not know", () => {
    expect(() => decompress(5, text)).toThrow("compression 5 is not known");
  });
});
