/** The items of a batch: a JSON array, or lines of JSON, each judged alone. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import { splitJsonArray } from "@headgate/kit/json";
import { type Problem, toItemProblem } from "./errors.ts";
import { type NativeEvent, parseEvent } from "./schema.ts";

/** Events of a batch. Native API, section 3. */
const EVENTS_MAX = 1_000;
/** ms for which a batch may hold the event loop while its items are read. */
const SLICE_MS = 5;
const BRACKET = 0x5b;
const NEWLINE = 0x0a;

/** A good event, or why it is none. */
export type Item = { readonly event: NativeEvent } | { readonly problem: Problem };
type Read = Item & { readonly error?: AppError };

/**
 * The items of a JSON array, or of lines of JSON. They are parsed one by one, with turns for other requests in between.
 * @throws AppError invalid_argument: malformed as a whole (http 400), `batch_size` (http 422)
 */
export async function readItems(body: Buffer): Promise<Item[]> {
  const isList = isArray(body);
  const texts = isList ? splitJsonArray(body, EVENTS_MAX) : splitLines(body);
  if (texts.length === 0 || texts.length > EVENTS_MAX) {
    throw new AppError(
      "invalid_argument",
      "batch_size",
      `A batch holds 1 to ${EVENTS_MAX} events.`,
      {
        faults: [{ pointer: "", detail: `must have 1 to ${EVENTS_MAX} items` }],
        http: 422,
      },
    );
  }
  const items: Item[] = [];
  let sliceEndsMs = performance.now() + SLICE_MS;
  for (const text of texts) {
    const item = readItem(text);
    // An array that holds what is no JSON is no JSON itself; a line stands alone.
    if (isList && item.error?.httpStatus === 400) throw item.error;
    items.push(item);
    if (performance.now() < sliceEndsMs) continue;
    await nextTurn();
    sliceEndsMs = performance.now() + SLICE_MS;
  }
  return items;
}

function splitLines(body: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < body.length && lines.length <= EVENTS_MAX; ) {
    const newline = body.indexOf(NEWLINE, start);
    const end = newline < 0 ? body.length : newline;
    const line = body.subarray(start, end);
    if (!isBlank(line)) lines.push(line);
    start = end + 1;
  }
  return lines;
}

function readItem(text: Buffer): Read {
  try {
    return { event: parseEvent(text) };
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    return { problem: toItemProblem(thrown), error: thrown };
  }
}

/** Whether the first character that counts opens an array. */
function isArray(body: Buffer): boolean {
  let at = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  while (isBlankByte(body[at])) at++;
  return body[at] === BRACKET;
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (!isBlankByte(byte)) return false;
  return true;
}

function isBlankByte(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
