/** Cuts a message that is too long for one post into several, and says which of them carries which attachment. */
import { countCodePoints } from "@headgate/kit/json";
import { EVENT_BYTES_MAX } from "@headgate/proto/topics";
import { refusal } from "./errors.ts";
import type { AttachmentBody } from "./schema.ts";

/** Code points of one message. Mattermost, posts since the 64 KiB column: 16,383. */
export const TEXT_MAX = 16_383;
/** Code points of the props of one post, serialised with its attachments. Mattermost: 800,000 less 40,000 of its own. */
export const PROPS_MAX = 760_000;
/** Bytes of the attachments of one post, with its props: what an event may take, less its text of 64 KiB and what stands around. */
const PROPS_BYTES_MAX = EVENT_BYTES_MAX - 80 * 1024;
/** UTF-8 bytes of one UTF-16 code unit, at most. */
const UNIT_BYTES = 3;
/** `,"attachments":[` and `]`: what the list adds to the props around its elements. */
const LIST_OVERHEAD = 17;

/** One post of several. */
export type Part = { text: string; attachments: AttachmentBody[] };

/**
 * The posts of one payload, in order: the text cut at code points, never inside one; attachments on the last of them, and
 * on posts of their own with an empty text where the props would grow over `PROPS_MAX` or `PROPS_BYTES_MAX`. An attachment
 * that is larger than the latter by itself is not cut: the event is refused where it is published.
 * @param props the serialised props that every post repeats
 * @throws AppError `props_too_large` when the props alone, or one attachment with its text cut away, do not fit
 */
export function splitMessage(
  text: string,
  attachments: readonly AttachmentBody[],
  props: string,
): Part[] {
  const parts: Part[] = splitText(text).map((piece) => ({ text: piece, attachments: [] }));
  let last = parts.at(-1) ?? { text: "", attachments: [] };
  const texts = attachments.map((attachment) => JSON.stringify(attachment));
  const units = texts.reduce((sum, json) => sum + json.length + 1, props.length);
  if (units * UNIT_BYTES <= PROPS_BYTES_MAX) {
    last.attachments.push(...attachments); // nearly always: nothing has to be counted
    return parts;
  }

  const propsLength = countCodePoints(props);
  if (propsLength > PROPS_MAX) throw refusal("props_too_large");
  const room = PROPS_MAX - propsLength - LIST_OVERHEAD;
  const roomBytes = PROPS_BYTES_MAX - Buffer.byteLength(props);
  let used = 0;
  let usedBytes = 0;
  for (const [at, attachment] of attachments.entries()) {
    let fitting = attachment;
    const json = texts[at] ?? "";
    const bytes = Buffer.byteLength(json) + 1;
    let length = countCodePoints(json);
    const isFull = used + length + 1 > room || usedBytes + bytes > roomBytes;
    if (isFull && last.attachments.length > 0) {
      last = { text: "", attachments: [] };
      parts.push(last);
      used = 0;
      usedBytes = 0;
    }
    if (length + 1 > room) {
      fitting = cutText(attachment, length + 1 - room);
      length = measure(fitting);
    }
    last.attachments.push(fitting);
    used += length + 1;
    usedBytes += bytes;
  }
  return parts;
}

/** The text in pieces of at most `TEXT_MAX` code points; one empty piece for an empty text. */
export function splitText(text: string): string[] {
  if (text.length <= TEXT_MAX) return [text];
  const pieces: string[] = [];
  let start = 0;
  let count = 0;
  let at = 0;
  for (const letter of text) {
    if (count === TEXT_MAX) {
      pieces.push(text.slice(start, at));
      start = at;
      count = 0;
    }
    count++;
    at += letter.length;
  }
  pieces.push(text.slice(start));
  return pieces;
}

/** The attachment with so much less text that its serialised form is shorter by at least `excess`. */
function cutText(attachment: AttachmentBody, excess: number): AttachmentBody {
  const letters = Array.from(attachment.text);
  let kept = letters.length;
  // A letter may take several characters when serialised, so what a cut saves is counted letter by letter.
  for (let saved = 0; saved < excess; ) {
    kept--;
    const letter = letters[kept];
    if (letter === undefined) throw refusal("props_too_large");
    saved += countCodePoints(JSON.stringify(letter)) - 2;
  }
  return { ...attachment, text: letters.slice(0, kept).join("") };
}

function measure(attachment: AttachmentBody): number {
  return countCodePoints(JSON.stringify(attachment));
}
