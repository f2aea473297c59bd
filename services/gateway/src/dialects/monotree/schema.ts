/** The body of a chat message: untrusted bytes → text, or a 422 that names everything wrong with it. */
import { AppError } from "@headgate/kit/errors";
import { countCodePoints, hasInvalidCharacters, parseJson } from "@headgate/kit/json";
import { type FieldFault, refuseFields } from "./errors.ts";
import { findMediaFaults } from "./media.ts";
import { trim } from "./trim.ts";

/** Bytes of a body. Body limit of the API: 256 KiB of JSON. */
export const BODY_BYTES_MAX = 256 * 1024;
/** Code points of a text after trimming. */
const TEXT_MAX = 10_000;
/** Levels of nesting. */
const DEPTH_MAX = 32;

/** What a sender wrote, checked. */
export type ChatPayload = { readonly text: string };

/**
 * Reads a body by the rules of chat_message. Members that the API does not know are ignored: a sender cannot choose
 * room, sender or action.
 * @throws Refusal 422: `body_malformed`, `fields_invalid` with every fault, `media_unavailable` when all is well but
 * media would have to be fetched
 */
export function parseChatPayload(body: Uint8Array): ChatPayload {
  const payload = parseObject(body);
  const text = typeof payload.text === "string" ? trim(payload.text) : payload.text;
  const faults = [...findTextFaults(text), ...findMediaFaults(payload.media)];
  if (payload.media_ids !== undefined) {
    faults.push({ field: "media_ids", text: "The media ids field is prohibited." });
  }
  // The text is a string whenever it has no fault; the second half tells the compiler so.
  if (faults.length > 0 || typeof text !== "string") throw refuseFields("fields_invalid", faults);
  refuseFetching(payload.media);
  return { text };
}

function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = parseJson(body, { depthMax: DEPTH_MAX });
  } catch (thrown) {
    const { code, reason } = AppError.from(thrown);
    if (code !== "invalid_argument") throw thrown;
    throw refuseFields(reason, [{ field: "body", text: "The request body must be valid JSON." }]);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    const text = "The request body must be a JSON object.";
    throw refuseFields("body_no_object", [{ field: "body", text }]);
  }
  return parsed as Readonly<Record<string, unknown>>; // an object, as just seen
}

function findTextFaults(text: unknown): FieldFault[] {
  const fault = (what: string) => ({ field: "text", text: `The text field ${what}.` });
  if (text === undefined || text === null || text === "") return [fault("is required")];
  if (typeof text !== "string") return [fault("must be a string")];
  const faults: FieldFault[] = [];
  if (hasInvalidCharacters(text)) faults.push(fault("contains invalid characters"));
  if (countCodePoints(text) > TEXT_MAX) {
    faults.push(fault(`must not be greater than ${TEXT_MAX} characters`));
  }
  return faults;
}

/** This server fetches no media, and content without its pictures would be half of what was sent. */
function refuseFetching(media: unknown): void {
  if (!Array.isArray(media) || media.length === 0) return;
  const faults = media.map((_, index) => ({
    field: `media.${index}.url`,
    text: `The media.${index}.url could not be downloaded: this server does not fetch media.`,
  }));
  throw refuseFields("media_unavailable", faults);
}
