/** A message as the native API writes it; what does not apply is null, not absent. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { JsonText } from "@headgate/kit/json";
import type { Message } from "@headgate/proto/chat/v1/chat";
import { type Attachment, AuthorType, type Media, Severity } from "@headgate/proto/event/v1/event";

const SEVERITIES: Readonly<Record<number, string>> = {
  [Severity.OK]: "ok",
  [Severity.INFO]: "info",
  [Severity.WARNING]: "warning",
  [Severity.ERROR]: "error",
  [Severity.CRITICAL]: "critical",
};

/** The JSON form of a message, for `stringifyJson`. */
export function renderMessage(message: Message) {
  const { content, origin, author, fold } = message;
  return {
    id: message.id,
    number: integerOrNull(message.number),
    channel_id: message.channelId,
    position: Number(message.position),
    text: textOrNull(content?.text),
    title: textOrNull(content?.title),
    severity: SEVERITIES[content?.severity ?? 0] ?? null,
    link: textOrNull(content?.link),
    fields: (content?.fields ?? []).map(({ name, value, short }) => ({ name, value, short })),
    attachments: (content?.attachments ?? []).map(renderAttachment),
    media: (content?.media ?? []).map(renderMedia),
    author: {
      type: author?.type === AuthorType.BOT ? "bot" : "user",
      id: textOrNull(author?.id),
      name: textOrNull(author?.name),
      icon_url: textOrNull(author?.iconUrl),
    },
    hook_id: textOrNull(origin?.hookId),
    dialect: textOrNull(origin?.dialect),
    root_id: textOrNull(message.rootId),
    props: jsonOrNull(content?.propsJson),
    dedup_key: textOrNull(fold?.key),
    count: message.count,
    first_at: timeOrNull(message.firstAt),
    last_at: timeOrNull(message.lastAt),
    accepted_at: timeOrNull(message.acceptedAt),
    edited_at: timeOrNull(message.editedAt),
  };
}

function renderAttachment(attachment: Attachment) {
  return {
    id: integerOrNull(attachment.id),
    fallback: textOrNull(attachment.fallback),
    color: textOrNull(attachment.color),
    pretext: textOrNull(attachment.pretext),
    author_name: textOrNull(attachment.authorName),
    author_link: textOrNull(attachment.authorLink),
    author_icon: textOrNull(attachment.authorIcon),
    title: textOrNull(attachment.title),
    title_link: textOrNull(attachment.titleLink),
    text: textOrNull(attachment.text),
    fields: attachment.fields.map(({ name, value, short }) => ({ name, value, short })),
    image_url: textOrNull(attachment.imageUrl),
    thumb_url: textOrNull(attachment.thumbUrl),
    footer: textOrNull(attachment.footer),
    footer_icon: textOrNull(attachment.footerIcon),
    ts: jsonOrNull(attachment.tsJson),
    actions: jsonOrNull(attachment.actionsJson),
  };
}

function renderMedia(media: Media) {
  return {
    url: textOrNull(media.url),
    type: textOrNull(media.type),
    media_id: textOrNull(media.mediaId),
    mime_type: textOrNull(media.mimeType),
    filename: textOrNull(media.filename),
    size_bytes: integerOrNull(media.sizeBytes),
    width: media.width || null,
    height: media.height || null,
  };
}

function textOrNull(text: string | undefined): string | null {
  return text ? text : null;
}

function jsonOrNull(text: string | undefined): JsonText | null {
  return text ? new JsonText(text) : null;
}

function integerOrNull(value: bigint): number | null {
  return value === 0n ? null : Number(value);
}

/** RFC 3339, UTC, milliseconds. */
function timeOrNull(time: Timestamp | undefined): string | null {
  if (!time) return null;
  return new Date(Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6)).toISOString();
}
