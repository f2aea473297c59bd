/** Trims as the framework behind Monotree does before it validates. */

/** What a text is trimmed of besides white space: characters that nobody sees. */
const INVISIBLE: ReadonlySet<string> = new Set(["\uFEFF", "\u200B", "\u200E"]);

/** The text without white space and invisible marks at its ends. Walks, for a pattern would be slow on long blanks. */
export function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charAt(start))) start++;
  while (end > start && isBlank(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(character: string): boolean {
  return INVISIBLE.has(character) || character.trim() === "";
}
