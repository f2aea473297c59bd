/** Mends JSON that senders paste together by hand: raw line breaks and tabs inside the strings that hold prose. */

const RESCUED_KEYS = new Set(["text", "fallback", "pretext", "author_name", "title", "value"]);
const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

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
        mended +=
          text.slice(copied, at + 1) + inner.replace(/[\n\r\t]/g, (raw) => ESCAPES[raw] ?? raw);
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

/** Where the string's closing quote stands; the end of the text when there is none. */
function findStringEnd(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}
