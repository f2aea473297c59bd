/**
 * One record, as it stands in a batch of format 2:
 *
 *     length varint | attributes int8 | timestamp delta varint | offset delta varint
 *     | key length varint | key | value length varint | value | header count varint | headers
 *     header: name length varint | name | value length varint | value
 *
 * Everything from the key on is made once, when the record is handed in; the rest is known when its batch is cut.
 */

/** A record ready to be put into a batch. */
export type Prepared = {
  readonly topic: string;
  /** Key, value and headers, with their lengths. */
  readonly tail: Buffer;
  /** Where the key's bytes are in `tail`. */
  readonly keyStart: number;
  readonly keyEnd: number;
};

/** A header that is made per record; names and values of constant ones are encoded beforehand. */
export type Header = readonly [name: string, value: string | Uint8Array];

/** Headers that every record of a topic carries, encoded; `count` of them. */
export type HeaderBlock = { readonly count: number; readonly bytes: Buffer };

/** No headers. */
export const NO_HEADERS: HeaderBlock = { count: 0, bytes: Buffer.alloc(0) };

/** Encodes headers once for use in many records. */
export function encodeHeaders(headers: readonly Header[]): HeaderBlock {
  const parts: Buffer[] = [];
  for (const [name, value] of headers) {
    const nameBytes = Buffer.from(name);
    const valueBytes = Buffer.from(value as string); // a Uint8Array is copied just as well
    const lengths = Buffer.allocUnsafe(10);
    const nameAt = writeVarint(lengths, 0, nameBytes.length);
    const valueAt = writeVarint(lengths, nameAt, valueBytes.length);
    parts.push(
      lengths.subarray(0, nameAt),
      nameBytes,
      lengths.subarray(nameAt, valueAt),
      valueBytes,
    );
  }
  return { count: headers.length, bytes: Buffer.concat(parts) };
}

/**
 * Prepares a record. `ascii` are headers whose names and values are ASCII text of fewer than 64 characters: their
 * bytes are written in place, which is what makes this cheap.
 */
export function prepareRecord(
  topic: string,
  key: string | Uint8Array,
  value: Uint8Array | null,
  block: HeaderBlock,
  ascii: readonly string[] = [],
): Prepared {
  const keyLength = typeof key === "string" ? Buffer.byteLength(key) : key.length;
  const valueLength = value === null ? -1 : value.length;
  let size =
    varintSize(keyLength) +
    keyLength +
    varintSize(valueLength) +
    Math.max(valueLength, 0) +
    varintSize(block.count + ascii.length / 2) +
    block.bytes.length;
  for (const text of ascii) size += 1 + text.length;

  const tail = Buffer.allocUnsafe(size);
  const keyStart = writeVarint(tail, 0, keyLength);
  const keyEnd = keyStart + keyLength;
  if (typeof key === "string") tail.write(key, keyStart);
  else tail.set(key, keyStart);
  let at = writeVarint(tail, keyEnd, valueLength);
  if (value !== null) {
    tail.set(value, at);
    at += value.length;
  }
  at = writeVarint(tail, at, block.count + ascii.length / 2);
  block.bytes.copy(tail, at);
  at += block.bytes.length;
  for (const text of ascii) {
    tail[at++] = text.length << 1; // a varint of less than 64
    tail.write(text, at, "latin1");
    at += text.length;
  }
  return { topic, tail, keyStart, keyEnd };
}

/** Reads encoded headers (count first) one by one. Later headers of one name come later. */
export function* readHeaders(bytes: Buffer): Generator<{ name: string; value: Buffer }> {
  const cursor = { at: 0 };
  const count = readVarint(bytes, cursor);
  for (let left = count; left > 0; left--) {
    const nameEnd = readVarint(bytes, cursor) + cursor.at;
    const name = bytes.toString("utf8", cursor.at, nameEnd);
    cursor.at = nameEnd;
    const length = readVarint(bytes, cursor);
    const value = length < 0 ? Buffer.alloc(0) : bytes.subarray(cursor.at, cursor.at + length);
    cursor.at += Math.max(length, 0);
    yield { name, value };
  }
}

/** Encoded headers (count first) as a block, to carry them on unchanged in front of others. */
export function blockOf(bytes: Buffer): HeaderBlock {
  const cursor = { at: 0 };
  const count = readVarint(bytes, cursor);
  return { count, bytes: bytes.subarray(cursor.at) };
}

/** Two blocks as one. */
export function joinBlocks(first: HeaderBlock, second: HeaderBlock): HeaderBlock {
  return {
    count: first.count + second.count,
    bytes: Buffer.concat([first.bytes, second.bytes]),
  };
}

/** Bytes of a zigzag varint of a 32-bit number. */
export function varintSize(value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let size = 1;
  while (rest > 0x7f) {
    rest >>>= 7;
    size++;
  }
  return size;
}

/** Writes a zigzag varint of a 32-bit number; returns where it ends. */
export function writeVarint(bytes: Buffer, start: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let at = start;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** Reads a zigzag varint of at most 32 bits and moves the cursor behind it. @throws RangeError past the end */
export function readVarint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[cursor.at++];
    if (byte === undefined || shift > 28) throw new RangeError("the record is cut off");
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return (value >>> 1) ^ -(value & 1);
}

/** Reads a zigzag varint of up to 64 bits as a number, exact up to 2^53. @throws RangeError past the end */
export function readVarlong(bytes: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[cursor.at++];
    if (byte === undefined || scale > 2 ** 63) throw new RangeError("the record is cut off");
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
