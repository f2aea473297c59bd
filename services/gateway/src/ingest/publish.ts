/** What is checked of events before they are published, and what is said of them when it failed. */
import { toBinary } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import {
  type Attachment,
  type Event,
  EventSchema,
  type Field,
} from "@headgate/proto/event/v1/event";
import { EVENT_BYTES_MAX } from "@headgate/proto/topics";

/** Bytes that a message of the wire takes besides its texts, at most: tags, lengths, ids, times. */
const MESSAGE_BYTES = 128;
/** UTF-8 bytes of one UTF-16 code unit, at most. */
const UNIT_BYTES = 3;

/**
 * The events of a request may or may not be stored: Kafka did not acknowledge them in time, or not clearly. The answer
 * names their ids, so that they can be asked for.
 */
export class UnsureError extends AppError {
  readonly eventIds: readonly string[];

  constructor(error: AppError, events: readonly Event[]) {
    super(error.code, error.reason, error.message, {
      cause: error.cause,
      retryAfterMs: error.retryAfterMs ?? 1000,
    });
    this.eventIds = events.map(({ id }) => id);
  }
}

/** An error of the publisher; one that leaves open whether the events are stored names them. */
export function toPublishError(thrown: unknown, events: readonly Event[]): unknown {
  const isUnsure = thrown instanceof AppError && thrown.reason === "log_unsure";
  return isUnsure ? new UnsureError(thrown, events) : thrown;
}

/** Whether an event takes more than EVENT_BYTES_MAX. Only events that may are encoded for it. */
export function isTooLarge(event: Event): boolean {
  if (boundBytes(event) <= EVENT_BYTES_MAX) return false;
  return toBinary(EventSchema, event).byteLength > EVENT_BYTES_MAX;
}

/** The refusal of an event that is too large. */
export function tooLarge(): AppError {
  return new AppError(
    "invalid_argument",
    "event_too_large",
    `The event takes more than ${EVENT_BYTES_MAX} bytes as it would be stored.`,
    { http: 413 },
  );
}

/** More bytes than the event takes when encoded: found by the lengths of its texts, without looking into them. */
function boundBytes({ action, author }: Event): number {
  if (action.case !== "chatMessage") return Number.POSITIVE_INFINITY;
  const { content, fold, kind } = action.value;
  let units = kind.length;
  let messages = 4;
  if (fold) units += fold.key.length;
  if (author) units += author.name.length + author.iconUrl.length + author.iconEmoji.length;
  if (content) {
    units += content.text.length + content.title.length;
    units += content.link.length + content.propsJson.length;
    units += unitsOfFields(content.fields);
    messages += content.fields.length + content.attachments.length;
    for (const attachment of content.attachments) {
      units += unitsOf(attachment) + unitsOfFields(attachment.fields);
      messages += attachment.fields.length;
    }
    // No dialect makes media yet.
    if (content.media.length > 0) return Number.POSITIVE_INFINITY;
  }
  return units * UNIT_BYTES + messages * MESSAGE_BYTES;
}

function unitsOf(attachment: Attachment): number {
  const { fallback, color, pretext, authorName, authorLink, authorIcon, title } = attachment;
  const { titleLink, text, imageUrl, thumbUrl, footer, footerIcon, tsJson, actionsJson } =
    attachment;
  return (
    fallback.length +
    color.length +
    pretext.length +
    authorName.length +
    authorLink.length +
    authorIcon.length +
    title.length +
    titleLink.length +
    text.length +
    imageUrl.length +
    thumbUrl.length +
    footer.length +
    footerIcon.length +
    tsJson.length +
    actionsJson.length
  );
}

function unitsOfFields(fields: readonly Field[]): number {
  let units = 0;
  for (const { name, value } of fields) units += name.length + value.length;
  return units;
}
