/** The body of the native hook: what is taken, and every fault of what is not. */
import { AppError, type Fault } from "@headgate/kit/errors";
import { countCodePoints, parseJson, readMemberText } from "@headgate/kit/json";

/** A body that was found good. */
export type NativeEvent = {
  readonly text?: string;
  readonly title?: string;
  readonly severity?: SeverityName;
  readonly dedup_key?: string;
  readonly status?: "firing" | "resolved";
  readonly media?: readonly [];
  readonly fields?: readonly {
    readonly name: string;
    readonly value: string;
    readonly short?: boolean;
  }[];
  readonly link?: string;
  readonly props?: Readonly<Record<string, unknown>>;
  /** The JSON text of `props` as it was sent: its numbers keep all their digits. */
  readonly propsText?: string | undefined;
};

/** Names of severities, as senders write them. */
export type SeverityName = "critical" | "error" | "warning" | "info" | "ok";

/** Code points of text and title, and of a field's value. Native API, "Forms that scripts rely on": 10,000. */
const TEXT_MAX = 10_000;
/** Code points of a dedup_key, and of a field's name. */
const KEY_MAX = 255;
/** Code units of a link. */
const LINK_MAX = 2_048;
/** Fields of one event. */
const FIELDS_MAX = 100;
/** Faults told; more would only make the answer long. */
const FAULTS_MAX = 100;
/** Code points of a member's name that are repeated in a fault. */
const NAME_SHOWN_MAX = 64;

const SEVERITIES: ReadonlySet<unknown> = new Set(["critical", "error", "warning", "info", "ok"]);
const STATUSES: ReadonlySet<unknown> = new Set(["firing", "resolved"]);
const ESCAPE = Buffer.from("\\u");

/**
 * Parses the JSON of one event or of an array of them.
 * @throws AppError invalid_argument (http 400): what `parseJson` says, or `json_encoding` for a lone surrogate
 */
export function parseBody(body: Buffer): unknown {
  const value = parseJson(body);
  // Only an escape can bring in half a character: plain bytes were checked as UTF-8.
  if (body.includes(ESCAPE) && !isWellFormed(value)) {
    throw new AppError(
      "invalid_argument",
      "json_encoding",
      "The body holds half of a surrogate pair.",
    );
  }
  return value;
}

/**
 * The event that the JSON text of one holds.
 * @throws AppError invalid_argument: what `parseBody` and `readEvent` say
 */
export function parseEvent(body: Buffer): NativeEvent {
  const event = readEvent(parseBody(body));
  if (event.props === undefined) return event;
  return { ...event, propsText: readMemberText(body, "props") };
}

/**
 * The event that a parsed body holds.
 * @throws AppError invalid_argument `event_invalid` (http 422) with every fault
 */
export function readEvent(value: unknown): NativeEvent {
  const faults: Fault[] = [];
  if (!isObject(value)) {
    throw invalid([{ pointer: "", detail: "must be an object" }]);
  }
  for (const name in value) checkMember(name, value[name], faults);
  if (value.text === undefined && value.title === undefined) {
    add(faults, "", "needs text or title");
  }
  if (faults.length > 0) throw invalid(faults);
  return value as NativeEvent; // every member was checked above
}

/** A refusal of a body for its fields. */
export function invalid(faults: readonly Fault[]): AppError {
  return new AppError("invalid_argument", "event_invalid", "The event has faults.", {
    faults,
    http: 422,
  });
}

function checkMember(name: string, value: unknown, faults: Fault[]): void {
  switch (name) {
    case "text":
    case "title":
      checkText(`/${name}`, value, TEXT_MAX, faults);
      return;
    case "dedup_key":
      checkText("/dedup_key", value, KEY_MAX, faults);
      return;
    case "severity":
      if (!SEVERITIES.has(value))
        add(faults, "/severity", "must be critical, error, warning, info or ok");
      return;
    case "status":
      if (!STATUSES.has(value)) add(faults, "/status", "must be firing or resolved");
      return;
    case "link":
      checkLink(value, faults);
      return;
    case "fields":
      if (!Array.isArray(value)) add(faults, "/fields", "must be an array");
      else if (value.length > FIELDS_MAX)
        add(faults, "/fields", `must have at most ${FIELDS_MAX} items`);
      else checkFields(value, faults);
      return;
    case "media":
      if (!Array.isArray(value)) add(faults, "/media", "must be an array");
      else if (value.length > 0) add(faults, "/media", "media is not available on this server");
      return;
    case "props":
      if (!isObject(value)) add(faults, "/props", "must be an object");
      else if (hasNul(value)) add(faults, "/props", "must not hold U+0000");
      return;
    default:
      add(faults, `/${escapePointer(name)}`, "is not a member of an event");
  }
}

function checkText(pointer: string, value: unknown, max: number, faults: Fault[]): void {
  if (typeof value !== "string") add(faults, pointer, "must be a string");
  else if (value === "") add(faults, pointer, "must not be empty");
  else if (value.length > max && countCodePoints(value) > max) {
    add(faults, pointer, `must have at most ${max} characters`);
  } else if (value.includes("\0")) add(faults, pointer, "must not hold U+0000");
}

function checkLink(value: unknown, faults: Fault[]): void {
  if (typeof value !== "string" || value.length > LINK_MAX || !isWebAddress(value)) {
    add(faults, "/link", `must be an absolute http or https URL of at most ${LINK_MAX} characters`);
  }
}

function isWebAddress(value: string): boolean {
  return /^https?:\/\/[^\s\0]+$/i.test(value) && URL.canParse(value);
}

function checkFields(fields: readonly unknown[], faults: Fault[]): void {
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at];
    const pointer = `/fields/${at}`;
    if (!isObject(field)) {
      add(faults, pointer, "must be an object");
      continue;
    }
    checkText(`${pointer}/name`, field.name, KEY_MAX, faults);
    checkText(`${pointer}/value`, field.value, TEXT_MAX, faults);
    if (field.short !== undefined && typeof field.short !== "boolean") {
      add(faults, `${pointer}/short`, "must be true or false");
    }
    for (const name in field) {
      if (name !== "name" && name !== "value" && name !== "short") {
        add(faults, `${pointer}/${escapePointer(name)}`, "is not a member of a field");
      }
    }
  }
}

function add(faults: Fault[], pointer: string, detail: string): void {
  if (faults.length < FAULTS_MAX) faults.push({ pointer, detail });
}

function escapePointer(name: string): string {
  const shown =
    name.length > NAME_SHOWN_MAX ? `${[...name].slice(0, NAME_SHOWN_MAX).join("")}…` : name;
  return shown.replaceAll("~", "~0").replaceAll("/", "~1");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isWellFormed);
  return Object.entries(value).every(([name, inner]) => name.isWellFormed() && isWellFormed(inner));
}

function hasNul(value: unknown): boolean {
  if (typeof value === "string") return value.includes("\0");
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, inner]) => name.includes("\0") || hasNul(inner));
}
