/**
 * A row of chat.messages, and the way between it and a message.
 *
 * What only some messages have is kept in the column `extras`: a Message in protobuf's own JSON form that holds just
 * those members (content.link, .fields, .attachments, .media; author.iconUrl, .iconEmoji; origin.outgoingHookId, .hop;
 * priority). Null when there are none, which is the common case and costs nothing.
 */
import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Message, MessageSchema } from "@headgate/proto/chat/v1/chat";
import {
  type AlertStatus,
  AuthorSchema,
  type AuthorType,
  ContentSchema,
  FoldSchema,
  OriginSchema,
  type Severity,
} from "@headgate/proto/event/v1/event";

/** The columns as the database gives them: bigints as text, times as Date, jsonb parsed. */
export type MessageRow = {
  id: string;
  channel_id: string;
  team_id: string;
  position: string;
  number: string | null;
  accepted_at: Date;
  root_id: string | null;
  text: string;
  title: string;
  severity: Severity;
  kind: string;
  author_type: AuthorType;
  author_id: string | null;
  author_name: string;
  dialect: string;
  hook_id: string | null;
  trace_id: string;
  props: string | null;
  extras: JsonValue;
  dedup_key: string | null;
  alert_status: AlertStatus;
  fold_seconds: number;
  count: number;
  first_at: Date | null;
  last_at: Date | null;
  edited_at: Date | null;
};

/** The columns that a new message fills, with their types; the rest have defaults or are the store's to give. */
export const DRAFT_COLUMNS = {
  id: "uuid",
  channel_id: "uuid",
  team_id: "uuid",
  number: "bigint",
  accepted_at: "timestamptz",
  root_id: "uuid",
  text: "text",
  title: "text",
  severity: "smallint",
  kind: "text",
  author_type: "smallint",
  author_id: "uuid",
  author_name: "text",
  dialect: "text",
  hook_id: "uuid",
  trace_id: "text",
  props: "text",
  extras: "jsonb",
  weight: "integer",
  dedup_key: "text",
  alert_status: "smallint",
  fold_seconds: "integer",
} as const;

/** Bytes that any message has besides its texts: ids, times, names. About. */
const FIXED_WEIGHT = 300;

type DraftColumn = keyof typeof DRAFT_COLUMNS;
type Parameter = string | number | null;

/** The values of a new message by column. */
export function draftRow(message: Message): Record<DraftColumn, Parameter> {
  const { content, author, origin, fold } = message;
  const text = content?.text ?? "";
  const props = orNull(content?.propsJson);
  const extras = formatExtras(message);
  return {
    id: message.id,
    channel_id: message.channelId,
    team_id: message.teamId,
    number: message.number === 0n ? null : String(message.number),
    accepted_at: formatTime(message.acceptedAt),
    root_id: orNull(message.rootId),
    text,
    title: content?.title ?? "",
    severity: content?.severity ?? 0,
    kind: message.kind,
    author_type: author?.type ?? 0,
    author_id: orNull(author?.id),
    author_name: author?.name ?? "",
    dialect: origin?.dialect ?? "",
    hook_id: orNull(origin?.hookId),
    trace_id: origin?.traceId ?? "",
    props,
    extras,
    weight: FIXED_WEIGHT + text.length + (props?.length ?? 0) + (extras?.length ?? 0),
    dedup_key: fold ? fold.key : null,
    alert_status: fold?.status ?? 0,
    fold_seconds: fold?.windowSeconds ?? 0,
  };
}

/** The message of a row. */
export function readRow(row: MessageRow): Message {
  const message =
    row.extras === null
      ? create(MessageSchema)
      : fromJson(MessageSchema, row.extras, { ignoreUnknownFields: true });
  message.id = row.id;
  message.teamId = row.team_id;
  message.channelId = row.channel_id;
  message.position = BigInt(row.position);
  message.number = BigInt(row.number ?? 0);
  message.rootId = row.root_id ?? "";
  message.kind = row.kind;
  message.count = row.count;
  message.acceptedAt = timestampFromDate(row.accepted_at);
  message.firstAt = readTime(row.first_at);
  message.lastAt = readTime(row.last_at);
  message.editedAt = readTime(row.edited_at);
  message.content ??= create(ContentSchema);
  message.content.text = row.text;
  message.content.title = row.title;
  message.content.severity = row.severity;
  message.content.propsJson = row.props ?? "";
  message.author ??= create(AuthorSchema);
  message.author.type = row.author_type;
  message.author.id = row.author_id ?? "";
  message.author.name = row.author_name;
  message.origin ??= create(OriginSchema);
  message.origin.dialect = row.dialect;
  message.origin.hookId = row.hook_id ?? "";
  message.origin.traceId = row.trace_id;
  if (row.dedup_key !== null) {
    message.fold = create(FoldSchema, {
      key: row.dedup_key,
      status: row.alert_status,
      windowSeconds: row.fold_seconds,
    });
  }
  return message;
}

function formatExtras({ content, author, origin, priority }: Message): string | null {
  const has =
    priority !== undefined ||
    (content &&
      (content.link !== "" ||
        content.fields.length > 0 ||
        content.attachments.length > 0 ||
        content.media.length > 0)) ||
    (author && (author.iconUrl !== "" || author.iconEmoji !== "")) ||
    (origin && (origin.outgoingHookId !== "" || origin.hop > 0));
  if (!has) return null;
  const extras = create(MessageSchema, {
    content: {
      link: content?.link,
      fields: content?.fields,
      attachments: content?.attachments,
      media: content?.media,
    },
    author: { iconUrl: author?.iconUrl, iconEmoji: author?.iconEmoji },
    origin: { outgoingHookId: origin?.outgoingHookId, hop: origin?.hop },
    priority,
  });
  return JSON.stringify(toJson(MessageSchema, extras));
}

function formatTime(time: Timestamp | undefined): string | null {
  return time ? timestampDate(time).toISOString() : null;
}

function readTime(time: Date | null): Timestamp | undefined {
  return time ? timestampFromDate(time) : undefined;
}

function orNull(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text;
}
