/** What is kept of a keyed batch: which of its items were accepted, one bit each. Their ids are the key's. */

/** 1,000 items take 125 bytes. */
export function packAccepted(accepted: readonly boolean[]): Uint8Array {
  const bits = new Uint8Array(Math.ceil(accepted.length / 8));
  accepted.forEach((isAccepted, index) => {
    if (isAccepted) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
  });
  return bits;
}

/** Whether the item of an index was accepted. */
export function wasAccepted(bits: Uint8Array, index: number): boolean {
  return ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}
