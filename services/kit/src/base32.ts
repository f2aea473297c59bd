/** z-base-32: five bits a character, big end first, the last character filled up with zeros, no padding. */

/** The letters by value. Mattermost writes its ids and tokens in them. */
export const BASE32_ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769";

/** The text of some bytes: 26 characters for 16 bytes, the last of which carries three bits. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32_ALPHABET[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + BASE32_ALPHABET[(held << (5 - bits)) & 31] : text;
}
