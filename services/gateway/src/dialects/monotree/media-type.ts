/** Whether a request says that its body is plain UTF-8 JSON. */
import type { IncomingHttpHeaders } from "node:http";

/** `application/json` or any `+json` type. */
const JSON_TYPE = /^(?:application\/json|[\w.+-]+\/[\w.+-]+\+json)$/;

/** True for JSON in UTF-8 and for no type at all; false for other types, other charsets and encoded bodies. */
export function isPlainJson(headers: IncomingHttpHeaders): boolean {
  if (headers["content-encoding"]) return false;
  const header = headers["content-type"]?.trim().toLowerCase();
  if (!header) return true;
  const [type = "", ...parameters] = header.split(";").map((part) => part.trim());
  if (!JSON_TYPE.test(type)) return false;
  return parameters.every((parameter) => {
    const [name, value = ""] = parameter.split("=", 2);
    if (name?.trim() !== "charset") return true;
    return ["utf-8", "utf8"].includes(value.trim().replace(/^"(.*)"$/, "$1"));
  });
}
