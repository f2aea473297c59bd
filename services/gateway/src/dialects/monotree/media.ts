/** The rules of the member `media` that need no fetching. */
import { countCodePoints } from "@headgate/kit/json";
import type { FieldFault } from "./errors.ts";
import { trim } from "./trim.ts";

/** Items of one payload. Monotree, Incoming Webhooks, "Rules": maximum 10 items. */
const COUNT_MAX = 10;
/** Code points of an address. */
const URL_MAX = 2048;
/** What an item may be. Monotree, Incoming Webhooks, "Attaching media". */
const TYPES: ReadonlySet<unknown> = new Set(["image", "video", "document"]);
/** Ports that media is fetched from; a URL that names its scheme's own port reads as "". */
const PORTS: ReadonlySet<string> = new Set(["", "80", "443"]);

/**
 * Everything wrong with `media`; absent, null and an empty list are no media. A list that is too long is not looked into:
 * the answer must not grow with the body.
 */
export function findMediaFaults(media: unknown): FieldFault[] {
  if (media === undefined || media === null) return [];
  if (!Array.isArray(media)) return [{ field: "media", text: "The media field must be a list." }];
  if (media.length > COUNT_MAX) {
    const text = `The media field must not have more than ${COUNT_MAX} items.`;
    return [{ field: "media", text }];
  }
  const items = media.map(readItem);
  const types = new Set(items.map(({ type }) => type).filter((type) => TYPES.has(type)));
  const mixed = { field: "media", text: "All media items must be of the same type." };
  return [
    ...(types.size > 1 ? [mixed] : []),
    ...items.flatMap(({ url }, index) => findUrlFaults(`media.${index}.url`, url)),
    ...items.flatMap(({ type }, index) => findTypeFaults(`media.${index}.type`, type)),
  ];
}

type Item = { readonly url: unknown; readonly type: unknown };

/** The two members of an item; what is no object has neither. */
function readItem(item: unknown): Item {
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    return { url: undefined, type: undefined };
  }
  const { url, type } = item as Partial<Item>; // any object may be asked for members
  return {
    url: typeof url === "string" ? trim(url) : url,
    type: typeof type === "string" ? trim(type) : type,
  };
}

function findUrlFaults(field: string, url: unknown): FieldFault[] {
  if (isMissing(url)) return [{ field, text: `The ${field} field is required.` }];
  if (typeof url === "string" && isPublicForm(url)) return [];
  return [{ field, text: `The ${field} field must be a valid URL.` }];
}

function findTypeFaults(field: string, type: unknown): FieldFault[] {
  if (isMissing(type)) return [{ field, text: `The ${field} field is required.` }];
  return TYPES.has(type) ? [] : [{ field, text: `The selected ${field} is invalid.` }];
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

/** Whether a text is an absolute http(s) URL without user-info, on port 80 or 443. Says nothing of where it leads. */
function isPublicForm(text: string): boolean {
  // The parser below would mend slashes and drop line breaks; what needs mending is refused. `@` before the first slash
  // is user-info, even when it is empty.
  if (!/^https?:\/\/[^\s\\/?#@]+(?:[/?#]|$)/i.test(text) || /[\s\\]/.test(text)) return false;
  if (countCodePoints(text) > URL_MAX || !text.isWellFormed()) return false;
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.hostname !== "" && PORTS.has(url.port);
}
