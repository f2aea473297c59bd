/** Reads untrusted JSON bodies: strict UTF-8, bounded depth and number of values. Writes JSON texts as they were sent. */
import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { AppError } from "./errors.ts";

/** Nesting of objects and arrays that is accepted unless a caller sets another bound; the outermost is level 1. */
const DEPTH_MAX = 32;
/**
 * Values (members, elements, and what holds them) of one body, unless a caller sets another bound. Time to parse and to
 * check a body grows with this number: 10,000 take a few ms, 100,000 hold the event loop for 50 ms and more.
 */
const VALUES_MAX = 10_000;
const OPENER = 0x7b; // "{"; "[" is 0x5b and becomes it with bit 0x20 set
const CLOSER = 0x7d; // "}"; "]" is 0x5d, likewise
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACKET = 0x5b;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Bounds of a body. */
export type JsonBounds = { readonly depthMax?: number; readonly valuesMax?: number };

/**
 * Parses a JSON text of any kind (RFC 8259). A UTF-8 byte order mark is skipped; of equal keys the last one counts. A key
 * `__proto__` is a member like any other, an own property of its object: copy parsed objects by spread or
 * `Object.fromEntries`, never by `Object.assign` or `target[name] = value`. An empty body is malformed.
 * @throws AppError invalid_argument: `json_encoding` (not UTF-8), `json_too_deep` (nested deeper than `depthMax`, 32),
 * `json_too_many_values` (more than `valuesMax`, 10,000), `json_malformed`. No message quotes the body.
 */
export function parseJson(body: Uint8Array, bounds: JsonBounds = {}): unknown {
  if (!isUtf8(body)) {
    throw new AppError("invalid_argument", "json_encoding", "The body is not valid UTF-8.");
  }
  checkBounds(body, bounds);
  const start = bomLength(body);
  const bytes = Buffer.from(body.buffer, body.byteOffset + start, body.byteLength - start);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    // The parser's own message quotes the body, so it is kept as no more than a kind.
    throw malformed(cause instanceof Error ? cause.name : "unknown");
  }
}

/**
 * The elements of a JSON array, each as its bytes, found without parsing them, so that a long array can be parsed in
 * parts. Each element must be parsed (`parseJson`) before the array counts as valid.
 * @returns at most `countMax` + 1 elements: one too many shows that there are more
 * @throws AppError invalid_argument `json_malformed` when the body is no array, or does not end with it
 */
export function splitJsonArray(body: Buffer, countMax: number): Buffer[] {
  const elements: Buffer[] = [];
  let at = skipBlanks(body, bomLength(body));
  if (body[at] !== OPEN_BRACKET) throw malformed("no array");
  at = skipBlanks(body, at + 1);
  if (body[at] === CLOSE_BRACKET) return endOfText(body, at + 1, elements);
  while (elements.length <= countMax) {
    const end = findValueEnd(body, at);
    elements.push(body.subarray(at, end));
    if (body[end] === CLOSE_BRACKET) return endOfText(body, end + 1, elements);
    if (body[end] !== COMMA) throw malformed("no end");
    at = end + 1;
  }
  return elements;
}

/**
 * The text of a member of the outermost object, as it was sent: numbers keep all their digits. Of equal keys the last one
 * counts. `body` must have been parsed without an error before.
 * @returns undefined when there is no such member
 */
export function readMemberText(body: Buffer, name: string): string | undefined {
  let found: string | undefined;
  let at = skipBlanks(body, bomLength(body)) + 1; // behind the opener
  while (true) {
    at = skipBlanks(body, at);
    if (body[at] !== QUOTE) return found;
    const keyEnd = findStringEnd(body, at) + 1;
    const key: unknown = JSON.parse(body.toString("utf8", at, keyEnd));
    const valueAt = skipBlanks(body, skipBlanks(body, keyEnd) + 1); // behind the colon
    const end = findValueEnd(body, valueAt);
    if (key === name) found = body.toString("utf8", valueAt, end).trimEnd();
    if (body[end] !== COMMA) return found;
    at = end + 1;
  }
}

/**
 * A JSON text as the value of a member: `stringifyJson` writes it as it is, so that nothing of it is parsed, and numbers
 * keep all their digits. `JSON.stringify` writes what it parses to.
 */
export class JsonText {
  readonly text: string;

  /** `text` must be valid JSON. */
  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    if (pieces === undefined) return JSON.parse(this.text);
    pieces.push(this.text);
    return MARK;
  }
}

/** The texts of the value that is being written. */
let pieces: string[] | undefined;
/** Stands for a text while the rest is written; no sender can know it. */
const MARK = randomUUID();
const LINE_BREAK = /[\r\n]+/g;

/** As `JSON.stringify`, with each `JsonText` as it is, on one line. */
export function stringifyJson(value: object): string {
  pieces = [];
  try {
    const text = JSON.stringify(value);
    if (pieces.length === 0) return text;
    const between = text.split(`"${MARK}"`);
    let whole = between[0] ?? "";
    for (let at = 0; at < pieces.length; at++) {
      // Raw line breaks stand only between tokens, where a blank means the same.
      whole += (pieces[at] ?? "").replace(LINE_BREAK, " ") + (between[at + 1] ?? "");
    }
    return whole;
  } finally {
    pieces = undefined;
  }
}

/** The number of Unicode code points of a text; a lone surrogate counts as one. */
export function countCodePoints(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length - 1; at++) {
    if ((text.charCodeAt(at) & 0xfc00) !== 0xd800) continue;
    if ((text.charCodeAt(at + 1) & 0xfc00) !== 0xdc00) continue;
    count--;
    at++;
  }
  return count;
}

/** Whether a text holds what Postgres and UTF-8 cannot: U+0000 or a surrogate without its other half. */
export function hasInvalidCharacters(text: string): boolean {
  return text.includes("\0") || !text.isWellFormed();
}

function checkBounds(
  body: Uint8Array,
  { depthMax = DEPTH_MAX, valuesMax = VALUES_MAX }: JsonBounds,
): void {
  const most = countMarks(body);
  if (most.depth <= depthMax && most.values <= valuesMax) return;
  const { depth, values } = measure(body);
  if (depth > depthMax) {
    const message = `The body is nested deeper than ${depthMax} levels.`;
    throw new AppError("invalid_argument", "json_too_deep", message);
  }
  if (values > valuesMax) {
    const message = `The body holds more than ${valuesMax} values.`;
    throw new AppError("invalid_argument", "json_too_many_values", message);
  }
}

/** Openers and commas, those inside strings too: an upper bound of depth and values, found in one quick pass. */
function countMarks(body: Uint8Array): { depth: number; values: number } {
  let openers = 0;
  let commas = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] as number; // at is below length: never undefined
    if ((byte | 0x20) === OPENER) openers++;
    else if (byte === COMMA) commas++;
  }
  return { depth: openers, values: 1 + openers + commas };
}

/** The true depth, and the number of values, where an empty object or array counts as two: strings are stepped over. */
function measure(body: Uint8Array): { depth: number; values: number } {
  let depth = 0;
  let deepest = 0;
  let values = 1;
  let inString = false;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] as number; // as above
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if ((byte | 0x20) === OPENER) {
      depth++;
      values++;
      if (depth > deepest) deepest = depth;
    } else if ((byte | 0x20) === CLOSER) {
      depth--;
    } else if (byte === COMMA) {
      values++;
    }
  }
  return { depth: deepest, values };
}

/** Index of the comma or closer behind the value that begins at `at`; the length of the body when there is none. */
function findValueEnd(body: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < body.length; at++) {
    const byte = body[at] as number; // as above
    if (byte === QUOTE) {
      at = findStringEnd(body, at);
    } else if ((byte | 0x20) === OPENER) {
      depth++;
    } else if ((byte | 0x20) === CLOSER) {
      if (depth === 0) return at;
      depth--;
    } else if (byte === COMMA && depth === 0) {
      return at;
    }
  }
  return body.length;
}

/** Index of the quote that ends the string which begins at `at`; the length of the body when there is none. */
function findStringEnd(body: Buffer, start: number): number {
  for (let at = start + 1; at < body.length; at++) {
    const byte = body[at];
    if (byte === BACKSLASH) at++;
    else if (byte === QUOTE) return at;
  }
  return body.length;
}

function endOfText(body: Buffer, at: number, elements: Buffer[]): Buffer[] {
  if (skipBlanks(body, at) < body.length) throw malformed("text behind the array");
  return elements;
}

function skipBlanks(body: Buffer, start: number): number {
  let at = start;
  while (body[at] === 0x20 || body[at] === 0x0a || body[at] === 0x0d || body[at] === 0x09) at++;
  return at;
}

function bomLength(body: Uint8Array): number {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
}

function malformed(cause: string): AppError {
  return new AppError("invalid_argument", "json_malformed", "The body is not valid JSON.", {
    cause,
  });
}
