/** Marks tell stored messages apart: every generated text holds the place of one, and the sender puts its own there. */

/** The place of the mark in generated texts; as long as every mark. Survives urlencoding. */
export const MARK = "Qmark00Q";

const DIGITS = MARK.length - 2;
const EVERY_MARK = /Q[0-9a-z]{6}Q/g;

/** The mark of a number below 36⁶; no other number has it. */
export function markOf(index: number): string {
  return `Q${index.toString(36).padStart(DIGITS, "0")}Q`;
}

/** The different marks in a text. */
export function findMarks(text: string): ReadonlySet<string> {
  return new Set(text.match(EVERY_MARK));
}

/** The bytes with the mark in its places. */
export function putMark(bytes: Buffer, mark: string): Buffer {
  return Buffer.from(bytes.toString("latin1").replaceAll(MARK, mark), "latin1");
}
