/** Mattermost's ids: the 128 bits of a UUID as 26 characters of a base-32 alphabet of its own, big end first, no padding. */
import { BASE32_ALPHABET, encodeBase32 } from "@headgate/kit/base32";
import { formatUuid, parseUuid } from "@headgate/kit/ids";

const VALUES = new Map(Array.from(BASE32_ALPHABET, (letter, value) => [letter, value]));
const LENGTH = 26;

/** 25 letters of five bits, and one of the eight whose two lowest bits are not set: 128 bits. Upper case too. */
const ID = /^[ybndrfg8ejkmcpqxot1uwisza345h769]{25}[yrecowah]$/i;

/** Whether a UUID can stand behind a text, as `uuidOfId` says, for those who need not know which. */
export function isId(text: string): boolean {
  return ID.test(text);
}

/** The 26 characters of 16 bytes; the last one carries three bits. */
export function formatId(bytes: Uint8Array): string {
  return encodeBase32(bytes);
}

/** A UUID in Mattermost's form; the text must be a UUID. */
export function idOfUuid(uuid: string): string {
  return formatId(parseUuid(uuid));
}

/**
 * The UUID behind an id, upper case too; undefined when it is none: another length, a letter outside the alphabet, or
 * bits set that no UUID has.
 */
export function uuidOfId(id: string): string | undefined {
  if (id.length !== LENGTH) return undefined;
  const bytes = new Uint8Array(16);
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const letter of id.toLowerCase()) {
    const value = VALUES.get(letter);
    if (value === undefined) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8 && at < 16) {
      bits -= 8;
      bytes[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return held === 0 ? formatUuid(bytes) : undefined;
}

/** The request id that a trace id gives: 32 hex digits become 26 characters. */
export function requestIdOf(traceId: string): string {
  return formatId(Buffer.from(traceId.padStart(32, "0").slice(0, 32), "hex"));
}
