/** Reads untrusted JSON bodies: strict UTF-8, bounded depth, no keys that reach a prototype. */
import { isUtf8 } from "node:buffer";
import { AppError } from "./errors.ts";

/** Nesting of objects and arrays that is accepted unless a caller says otherwise; the outermost is level 1. */
const DEPTH_MAX = 32;
const OPENER = 0x7b; // "{"; "[" is 0x5b and becomes it with bit 0x20 set
const CLOSER = 0x7d; // "}"; "]" is 0x5d, likewise
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Parses a JSON text of any kind (RFC 8259). A UTF-8 byte order mark is skipped; of equal keys the last one counts; a key
 * `__proto__` is left out, so that no later copy can reach a prototype. An empty body is malformed.
 * @throws AppError invalid_argument: `json_encoding` (not UTF-8), `json_too_deep` (nested deeper than `depthMax`, 32),
 * `json_malformed`. No message quotes the body.
 */
export function parseJson(body: Uint8Array, options?: { depthMax?: number }): unknown {
  if (!isUtf8(body)) {
    throw new AppError("invalid_argument", "json_encoding", "The body is not valid UTF-8.");
  }
  const depthMax = options?.depthMax ?? DEPTH_MAX;
  if (countOpeners(body) > depthMax && measureDepth(body) > depthMax) {
    const message = `The body is nested deeper than ${depthMax} levels.`;
    throw new AppError("invalid_argument", "json_too_deep", message);
  }
  const start = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  const bytes = Buffer.from(body.buffer, body.byteOffset + start, body.byteLength - start);
  const text = bytes.toString("utf8");
  try {
    return mayNameProto(text) ? JSON.parse(text, withoutProto) : JSON.parse(text);
  } catch (cause) {
    // The parser's own message quotes the body, so it is kept as no more than a kind.
    const kind = cause instanceof Error ? cause.name : "unknown";
    throw new AppError("invalid_argument", "json_malformed", "The body is not valid JSON.", {
      cause: kind,
    });
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

/** All openers, those inside strings too: an upper bound of the depth, found in one quick pass. */
function countOpeners(body: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < body.length; at++) {
    if (((body[at] as number) | 0x20) === OPENER) count++; // at is below length: never undefined
  }
  return count;
}

/** The true depth: strings are stepped over. */
function measureDepth(body: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
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
      if (depth > deepest) deepest = depth;
    } else if ((byte | 0x20) === CLOSER) {
      depth--;
    }
  }
  return deepest;
}

/** Whether a key may read `__proto__`, plainly or with its letters written as escapes. */
function mayNameProto(text: string): boolean {
  return text.includes("__proto__") || text.includes("\\u00");
}

function withoutProto(key: string, value: unknown): unknown {
  return key === "__proto__" ? undefined : value;
}
