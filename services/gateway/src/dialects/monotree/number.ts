/** The integer of a keyed message. */
import { createHash } from "node:crypto";

/** Drawn integers stay below, those of keys begin here; the largest is 2^53 - 1, the largest that JSON readers keep exactly. */
const KEYED_FROM = 2n ** 52n;

/**
 * The integer that an event id stands for: an equal retry answers the same one, with or without the memory of the rate
 * limiter, so that an answer always names a message that exists. Of a million keyed messages, two share one with a probability
 * of 1 in 9,000.
 */
export function keyedNumber(eventId: string): bigint {
  const digest = createHash("sha256").update(eventId).digest();
  return KEYED_FROM + (digest.readBigUInt64BE(0) >> 12n);
}
