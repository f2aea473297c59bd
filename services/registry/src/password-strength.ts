/** Whether a password is one of those that guessers try first: the common ones, the account's own name, plain patterns. */
import { dictionary } from "@zxcvbn-ts/language-common";

/** The most common passwords of published leaks, in lower case. */
const COMMON: ReadonlySet<string> = new Set(dictionary["passwords-common"]);
/** Digits and marks at either end that do not make a common password another one: "password1!". */
const ENDS = /^[^\p{L}]{0,4}(?=\p{L})|(?<=\p{L})[^\p{L}]{0,4}$/gu;
/** One to four characters, repeated to the end: "abababab". */
const REPEATED = /^(.{1,4})\1+$/su;

/** `names`: what the account is called, its email among them; letter case does not count. */
export function isGuessable(password: string, names: readonly string[]): boolean {
  const text = normalize(password);
  const core = text.replaceAll(ENDS, "");
  const own = names.flatMap((name) => [normalize(name), normalize(name.split("@", 1)[0] ?? "")]);
  const known = (word: string) => word !== "" && (COMMON.has(word) || own.includes(word));
  return known(text) || known(core) || REPEATED.test(text) || isRow(text);
}

function normalize(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}

/** Characters that follow one another: "12345678", "hgfedcba". */
function isRow(text: string): boolean {
  const codes = [...text].map((character) => character.codePointAt(0) ?? 0);
  const step = (codes[1] ?? 0) - (codes[0] ?? 0);
  if (Math.abs(step) !== 1) return false;
  return codes.every((code, at) => at === 0 || code - (codes[at - 1] ?? 0) === step);
}
