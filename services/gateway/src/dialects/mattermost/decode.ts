/** Body to payload: by content type, with the rescue of broken JSON, and with every text made storable. */
import { parseJson } from "@headgate/kit/json";
import { refusal } from "./errors.ts";
import { readFormPayload, readMultipart } from "./form.ts";
import { readMediaType } from "./media-type.ts";
import { escapeRawBreaks } from "./rescue.ts";
import { type Payload, readPayload } from "./schema.ts";

/**
 * Fields of a multipart body and the members they stand for, in lower case. Mattermost's own decoder knows the run-together
 * names only; the spellings of JSON, and a part `payload`, are taken as well.
 */
const PARTS: Readonly<Record<string, { member: string; isJson: boolean }>> = {
  text: { member: "text", isJson: false },
  username: { member: "username", isJson: false },
  type: { member: "type", isJson: false },
  iconurl: { member: "icon_url", isJson: false },
  icon_url: { member: "icon_url", isJson: false },
  iconemoji: { member: "icon_emoji", isJson: false },
  icon_emoji: { member: "icon_emoji", isJson: false },
  channelname: { member: "channel", isJson: false },
  channel: { member: "channel", isJson: false },
  rootid: { member: "root_id", isJson: false },
  root_id: { member: "root_id", isJson: false },
  attachments: { member: "attachments", isJson: true },
  props: { member: "props", isJson: true },
  priority: { member: "priority", isJson: true },
};

/** Escapes of U+0000 and of surrogates: where none stands in the JSON text, no decoded text can hold them. */
const RISKY_ESCAPE = /\\u(?:0000|[dD][89a-fA-F])/;

/**
 * Reads the payload of a delivery.
 * @throws AppError `media_type`, `form_malformed`, `multipart_malformed`, `payload_malformed`
 */
export async function decodePayload(
  body: Buffer,
  contentType: string | undefined,
  query: string,
): Promise<Payload> {
  switch (readMediaType(contentType)) {
    case "application/x-www-form-urlencoded":
      return readPayload(decodeJson(Buffer.from(readFormPayload(body, query))));
    case "multipart/form-data":
      return readPayload(mergeParts(await readMultipart(body, contentType ?? "")));
    default:
      return readPayload(decodeJson(body));
  }
}

/**
 * Parses JSON. What fails is tried again with bad UTF-8 as U+FFFD, as in Go, and with raw line breaks of prose escaped.
 */
function decodeJson(body: Buffer): unknown {
  try {
    return parse(body);
  } catch (first) {
    const text = body.toString("utf8");
    const mended = Buffer.from(escapeRawBreaks(text));
    if (mended.equals(body)) throw first;
    return parse(mended);
  }
}

function parse(body: Buffer): unknown {
  try {
    const decoded = parseJson(body);
    const isRisky = body.includes("\\u") && RISKY_ESCAPE.test(body.toString("latin1"));
    return isRisky ? cleanValue(decoded) : decoded;
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : undefined;
    throw refusal("payload_malformed", { detail });
  }
}

function mergeParts(fields: readonly [string, string][]): unknown {
  const payload = fields.find(([name]) => name.toLowerCase() === "payload");
  const base = payload === undefined ? {} : decodeJson(Buffer.from(payload[1]));
  const members = new Map<string, unknown>();
  for (const [name, value] of fields) {
    if (name.toLowerCase() === "payload") continue;
    const part = Object.hasOwn(PARTS, name.toLowerCase()) ? PARTS[name.toLowerCase()] : undefined;
    if (part === undefined) {
      throw refusal("payload_malformed", {
        detail: "There is a part that a webhook does not take.",
      });
    }
    members.set(part.member, part.isJson ? decodeJson(Buffer.from(value)) : cleanText(value));
  }
  if (members.size === 0) return base;
  if (typeof base !== "object" || Array.isArray(base)) throw refusal("payload_malformed");
  return { ...base, ...Object.fromEntries(members) };
}

/** U+0000 and halves of surrogate pairs, which neither the database nor UTF-8 can hold, become U+FFFD. */
function cleanText(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

/** The same in all texts and names of a decoded value; its depth is bounded by the parser. */
function cleanValue(value: unknown): unknown {
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) return value.map(cleanValue);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [cleanText(name), cleanValue(member)]),
  );
}
