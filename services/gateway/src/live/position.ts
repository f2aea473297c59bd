/**
 * Places in chat.posted.v1, and their text form: the `id` of an event of the live stream, which a reader sends back as
 * Last-Event-ID. It is made of Kafka's own offsets, so every gateway, and the same one after a restart, understands it.
 */

/** By partition: the offset of the first announcement that the reader has not seen. A missing partition: 0. */
export type Position = readonly number[];

/** A position, and when it was written. */
export type Cursor = { readonly position: Position; readonly at: Date };

/** First byte of the form below. */
const VERSION = 1;
/** Partitions that a cursor may name; a topic of ours has 12. */
const PARTITIONS_MAX = 1_000;
/** A text of the form: what is longer names more partitions than there are. */
const TEXT = /^[A-Za-z0-9_-]{4,11000}$/;

/** Layout, in base64url: version (one byte) · seconds since 1970 (varint) · the offset of each partition (varint). */
export function formatCursor({ position, at }: Cursor): string {
  const bytes: number[] = [VERSION];
  pushVarint(bytes, Math.floor(at.getTime() / 1_000));
  for (const offset of position) pushVarint(bytes, offset);
  return Buffer.from(bytes).toString("base64url");
}

/** The cursor of a text; undefined: it is none. */
export function parseCursor(text: string): Cursor | undefined {
  if (!TEXT.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64url");
  if (bytes[0] !== VERSION) return undefined;
  const numbers: number[] = [];
  for (let at = 1; at < bytes.length; ) {
    let number = 0;
    for (let scale = 1; ; scale *= 128, at++) {
      const byte = bytes[at];
      if (byte === undefined) return undefined;
      number += (byte & 0x7f) * scale;
      if (number > Number.MAX_SAFE_INTEGER) return undefined;
      if (byte < 0x80) break;
    }
    at++;
    numbers.push(number);
  }
  const [seconds, ...position] = numbers;
  const at = new Date((seconds ?? Number.NaN) * 1_000);
  if (Number.isNaN(at.getTime()) || position.length > PARTITIONS_MAX) return undefined;
  return { position, at };
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
}
