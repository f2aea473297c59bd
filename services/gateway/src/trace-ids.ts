/** Trace ids for requests that no span gives one: 32 random hex digits, cut from a pool filled in one go. */
import { randomBytes } from "node:crypto";

const DIGITS = 32;
const POOL_BYTES = 4096;
let pool = "";
let at = 0;

/** A new trace id. */
export function createTraceId(): string {
  if (at + DIGITS > pool.length) {
    pool = randomBytes(POOL_BYTES).toString("hex");
    at = 0;
  }
  at += DIGITS;
  return pool.slice(at - DIGITS, at);
}
