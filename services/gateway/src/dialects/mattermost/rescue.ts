/** Mends JSON that senders paste together by hand: raw line breaks and tabs inside the strings that hold prose. */

/** By the byte of a break, the letter of its escape: \\t, \\n, \\r. */
const ESCAPES: readonly (number | undefined)[] = Object.assign(new Array<undefined>(256), {
  9: 0x74,
  10: 0x6e,
  13: 0x72,
});
const BACKSLASH = 0x5c;
const RESCUED_KEYS = new Set(["text", "fallback", "pretext", "author_name", "title", "value"]);

/**
 * The text with raw line breaks and tabs escaped inside the string values of the prose keys; everything else as it was.
 * The result may still not be JSON.
 */
export function escapeRawBreaks(text: string): string {
  let mended = "";
  let copied = 0;
  let key: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"') {
      const end = findStringEnd(text, at + 1);
      const inner = text.slice(at + 1, end);
      if (key !== undefined && RESCUED_KEYS.has(key)) {
        mended += text.slice(copied, at + 1) + escapeBreaks(inner);
        copied = end;
      }
      key = /^\s*:/.test(text.slice(end + 1, end + 64)) ? inner : undefined;
      at = end;
    } else if (letter === "{" || letter === "[" || letter === ",") {
      key = undefined;
    }
  }
  return mended + text.slice(copied);
}

/** Over bytes: on a text, 300,000 breaks would hold the event loop ten times as long. */
function escapeBreaks(prose: string): string {
  const bytes = Buffer.from(prose);
  let breaks = 0;
  for (const byte of bytes) if (ESCAPES[byte] !== undefined) breaks += 1;
  if (breaks === 0) return prose;
  const escaped = Buffer.allocUnsafe(bytes.length + breaks);
  let end = 0;
  for (const byte of bytes) {
    const letter = ESCAPES[byte];
    if (letter !== undefined) escaped[end++] = BACKSLASH;
    escaped[end++] = letter ?? byte;
  }
  return escaped.toString();
}

/** Where the string's closing quote stands; the end of the text when there is none. */
function findStringEnd(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}
