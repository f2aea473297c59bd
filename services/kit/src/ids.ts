/** Makes and reads ids: UUIDv7 for new things, UUIDv5 for things that a key names. */
import { createHash, randomBytes, randomFillSync } from "node:crypto";

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const POOL_BYTES = 4096;
const pool = new Uint8Array(POOL_BYTES);
let poolAt = POOL_BYTES;
let lastMs = 0;
let sequence = 0;

/**
 * A new UUIDv7 (RFC 9562 method 1): ms of `now`, then a 12-bit counter so that ids made by one process in one ms rise
 * in the order they were made, then 62 random bits. A clock that steps back does not step the ids back.
 */
export function createId(now: number = Date.now()): string {
  if (now > lastMs) {
    lastMs = now;
    sequence = randomByte() << 1;
  } else {
    sequence += 1;
    if (sequence > 0xfff) {
      lastMs += 1;
      sequence = randomByte() << 1;
    }
  }
  const bytes = new Uint8Array(16);
  for (let at = 5, ms = lastMs; at >= 0; at--, ms = Math.floor(ms / 256)) bytes[at] = ms % 256;
  bytes[6] = 0x70 | (sequence >> 8);
  bytes[7] = sequence & 0xff;
  for (let at = 8; at < 16; at++) bytes[at] = randomByte();
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return formatUuid(bytes);
}

/** A new random UUIDv4, for ids that are secrets. */
export function createRandomId(): string {
  const bytes = randomBytes(16);
  bytes[6] = 0x40 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return formatUuid(bytes);
}

/** The UUIDv5 (RFC 9562) of a name within a namespace UUID: the same two always give the same id. */
export function createNamedId(namespace: string, name: string): string {
  const digest = createHash("sha1").update(parseUuid(namespace)).update(name, "utf8").digest();
  const bytes = digest.subarray(0, 16);
  bytes[6] = 0x50 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return formatUuid(bytes);
}

/** Whether a text is a UUID in lower-case canonical form. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text);
}

/** The 16 bytes of a UUID text; the text must be one (`isUuid`). */
export function parseUuid(text: string): Uint8Array {
  return Buffer.from(text.replaceAll("-", ""), "hex");
}

/** The canonical text of 16 bytes. */
export function formatUuid(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < 16; at++) {
    if (at === 4 || at === 6 || at === 8 || at === 10) text += "-";
    text += HEX[bytes[at] ?? 0];
  }
  return text;
}

function randomByte(): number {
  if (poolAt >= POOL_BYTES) {
    randomFillSync(pool);
    poolAt = 0;
  }
  return pool[poolAt++] ?? 0;
}
