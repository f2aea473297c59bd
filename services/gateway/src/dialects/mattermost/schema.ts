/**
 * The untrusted payload as a typed one. As with Mattermost, unknown members are ignored, names match in any case, null is
 * absent, and a known member of a wrong type spoils the whole payload.
 */
import { blocksToText } from "./blocks.ts";
import { refusal } from "./errors.ts";

/** A payload with every member read. Absent texts are empty. */
export type Payload = {
  readonly text: string;
  readonly channel: string;
  readonly rootId: string;
  readonly username: string;
  readonly iconUrl: string;
  readonly iconEmoji: string;
  readonly attachments: readonly AttachmentBody[];
  readonly type: string;
  readonly props: Readonly<Record<string, unknown>>;
  readonly priority: PriorityBody | undefined;
};

/** A Slack-style attachment; its members in the names that readers see. Absent texts are empty. */
export type AttachmentBody = {
  readonly id: number;
  readonly fallback: string;
  readonly color: string;
  readonly pretext: string;
  readonly author_name: string;
  readonly author_link: string;
  readonly author_icon: string;
  readonly title: string;
  readonly title_link: string;
  readonly text: string;
  readonly fields: readonly FieldBody[];
  readonly image_url: string;
  readonly thumb_url: string;
  readonly footer: string;
  readonly footer_icon: string;
  /** A string or a number as sent; undefined when absent. */
  readonly ts: unknown;
  /** As sent. */
  readonly actions: readonly unknown[];
};

/** One row of an attachment. */
export type FieldBody = { readonly title: string; readonly value: string; readonly short: boolean };

/** `level` undefined: the inner member `priority` was absent, which is a fault that is told later. */
export type PriorityBody = {
  readonly level: string | undefined;
  readonly requestedAck: boolean;
  readonly persistentNotifications: boolean;
};

/** Attachments and fields of one payload, together. Each costs time before anybody is known to have sent it. */
const ITEMS_MAX = 5_000;

type Members = ReadonlyMap<string, unknown>;

/**
 * Reads a decoded payload; null is an empty one.
 * @throws AppError `payload_malformed` naming the member whose type is wrong
 */
export function readPayload(decoded: unknown): Payload {
  const members = readMembers(decoded ?? {}, "");
  checkCount(members.get("attachments"));
  const props = members.get("props") ?? {};
  if (!isObject(props)) throw wrong("props", "an object");
  return {
    text: readText(members, "text", "") || blocksToText(members.get("blocks")),
    channel: readText(members, "channel", ""),
    rootId: readText(members, "root_id", ""),
    username: readText(members, "username", ""),
    iconUrl: readText(members, "icon_url", ""),
    iconEmoji: readText(members, "icon_emoji", ""),
    attachments: readList(members, "attachments", "").map(([item, at]) => readAttachment(item, at)),
    type: readText(members, "type", ""),
    props,
    priority: readPriority(members.get("priority") ?? undefined),
  };
}

function checkCount(attachments: unknown): void {
  if (!Array.isArray(attachments)) return;
  let count = attachments.length;
  for (const item of attachments) {
    if (count > ITEMS_MAX) break;
    if (isObject(item) && Array.isArray(item.fields)) count += item.fields.length;
  }
  if (count <= ITEMS_MAX) return;
  const detail = `There are more than ${ITEMS_MAX} attachments and fields.`;
  throw refusal("payload_malformed", { detail });
}

function readAttachment(item: unknown, at: string): AttachmentBody {
  const members = readMembers(item, at);
  const text = (name: string) => readText(members, name, at);
  const id = members.get("id") ?? 0;
  if (!Number.isInteger(id) || Math.abs(id as number) >= 2 ** 63) {
    throw wrong(`${at}.id`, "a whole number");
  }
  return {
    id: id as number, // Number.isInteger is true of numbers only
    fallback: text("fallback"),
    color: text("color"),
    pretext: text("pretext"),
    author_name: text("author_name"),
    author_link: text("author_link"),
    author_icon: text("author_icon"),
    title: text("title"),
    title_link: text("title_link"),
    text: text("text") || blocksToText(members.get("blocks")),
    fields: readList(members, "fields", at).map(([field, where]) => readField(field, where)),
    image_url: text("image_url"),
    thumb_url: text("thumb_url"),
    footer: text("footer"),
    footer_icon: text("footer_icon"),
    ts: members.get("ts") ?? undefined,
    actions: readList(members, "actions", at).map(([action]) => action),
  };
}

function readField(item: unknown, at: string): FieldBody {
  const members = readMembers(item, at);
  return {
    title: readText(members, "title", at),
    value: renderValue(members.get("value")),
    short: members.has("short") ? readShort(members.get("short"), at) : false,
  };
}

/** Scalars as their text, nothing as empty; objects and lists as JSON text. */
function renderValue(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A boolean, or its name in any case. Unlike elsewhere, null is a fault. */
function readShort(value: unknown, at: string): boolean {
  const word = typeof value === "string" ? value.toLowerCase() : value;
  if (word === true || word === "true") return true;
  if (word === false || word === "false") return false;
  throw wrong(`${at}.short`, "true or false");
}

function readPriority(value: unknown): PriorityBody | undefined {
  if (value === undefined) return undefined;
  const members = readMembers(value, "priority");
  const level = members.get("priority") ?? undefined;
  if (level !== undefined && typeof level !== "string") throw wrong("priority.priority", "a text");
  return {
    level,
    requestedAck: readFlag(members, "requested_ack"),
    persistentNotifications: readFlag(members, "persistent_notifications"),
  };
}

function readFlag(members: Members, name: string): boolean {
  const value = members.get(name) ?? false;
  if (typeof value !== "boolean") throw wrong(`priority.${name}`, "true or false");
  return value;
}

function readText(members: Members, name: string, at: string): string {
  const value = members.get(name) ?? "";
  if (typeof value !== "string") throw wrong(at === "" ? name : `${at}.${name}`, "a text");
  return value;
}

/** The elements that are not null, each with its place for messages. */
function readList(members: Members, name: string, at: string): [unknown, string][] {
  const value = members.get(name) ?? [];
  const place = at === "" ? name : `${at}.${name}`;
  if (!Array.isArray(value)) throw wrong(place, "a list");
  return value.flatMap((item: unknown, index): [unknown, string][] =>
    item === null ? [] : [[item, `${place}[${index}]`]],
  );
}

/** The members of an object by their names in lower case; of equal ones the last that is not null counts. */
function readMembers(value: unknown, at: string): Members {
  if (!isObject(value)) throw wrong(at, "an object");
  const members = new Map<string, unknown>();
  for (const [name, member] of Object.entries(value)) {
    const key = name.toLowerCase();
    if (member !== null || !members.has(key)) members.set(key, member);
  }
  return members;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(place: string, wanted: string) {
  const what = place === "" ? "The payload" : `The member ${place}`;
  return refusal("payload_malformed", { detail: `${what} must be ${wanted}.` });
}
