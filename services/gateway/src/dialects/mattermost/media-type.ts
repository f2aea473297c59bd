/** Reads a Content-Type as MIME says, as far as a delivery needs it. */
import { refusal } from "./errors.ts";

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const MEDIA_TYPE = new RegExp(`^(${TOKEN}(?:/${TOKEN})?)[ \\t]*(?:;|$)`);

/**
 * The media type in lower case, without parameters; empty when none was sent. Bad parameters do not matter.
 * @throws AppError `media_type` when the type itself is no type, as with anything after the subtype
 */
export function readMediaType(header: string | undefined): string {
  const text = header?.trim() ?? "";
  if (text === "") return "";
  const found = MEDIA_TYPE.exec(text);
  if (!found?.[1]) throw refusal("media_type");
  return found[1].toLowerCase();
}
