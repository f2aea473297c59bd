/** The body of the native hook: what is taken, and every fault of what is not. */
import { AppError, type Fault } from "@headgate/kit/errors";
import { parseJson, readMemberText } from "@headgate/kit/json";
import { createCompiler } from "./api/validate.ts";
import { type EventBody, EventSchema } from "./event-schema.ts";

export type { SeverityName } from "./event-schema.ts";

/** A body that was found good. */
export type NativeEvent = EventBody & {
  /** The JSON text of `props` as it was sent: its numbers keep all their digits. */
  readonly propsText?: string | undefined;
};

const ESCAPE = Buffer.from("\\u");
/** What is said where the schema's own words would not help. */
const DETAILS: Readonly<Record<string, string>> = {
  "/link": "must be an absolute http or https URL of at most 2048 characters",
  "/media": "media is not available on this server",
  "/blocks": "is not a member of an event: Block Kit is taken by Mattermost hooks",
  "/attachments": "is not a member of an event: attachments are taken by Mattermost hooks",
};

const check = createCompiler()(EventSchema);

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
 * @throws AppError invalid_argument: what `parseBody` says, or `event_invalid` (http 422) with every fault
 */
export function parseEvent(body: Buffer): NativeEvent {
  const value = parseBody(body);
  const faults = check(value);
  if (faults.length > 0) throw invalid(faults);
  const event = value as EventBody; // the schema is its type
  if (event.props === undefined) return event;
  return { ...event, propsText: readMemberText(body, "props") };
}

function invalid(faults: readonly Fault[]): AppError {
  const named = faults.map(({ pointer, detail }) => ({
    pointer,
    detail: DETAILS[pointer] ?? detail,
  }));
  return new AppError("invalid_argument", "event_invalid", "The event has faults.", {
    faults: named,
    http: 422,
  });
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isWellFormed);
  return Object.entries(value).every(([name, inner]) => name.isWellFormed() && isWellFormed(inner));
}
