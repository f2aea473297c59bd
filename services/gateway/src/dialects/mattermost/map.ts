/** A payload as canonical events. Pure: ids and time are handed in. */
import { create } from "@bufbuild/protobuf";
import { countCodePoints } from "@headgate/kit/json";
import {
  type Attachment,
  AttachmentSchema,
  type Event,
  PrioritySchema,
} from "@headgate/proto/event/v1/event";
import type { Hook } from "../../dialect.ts";
import { authorOf, chatMessageEvent, timestampOf } from "../../events.ts";
import { refusal } from "./errors.ts";
import { convertAttachmentText, convertNames, convertText, type NameOf } from "./markup.ts";
import type { AttachmentBody, Payload } from "./schema.ts";
import { splitMessage } from "./split.ts";

/** What the operator allows payloads and hooks to put over the writer. */
export type Overrides = { readonly usernameOverride: boolean; readonly iconOverride: boolean };

/** What the events need besides payload and hook. `idOf` gives the id of the n-th post, from 0. */
export type Stamp = {
  readonly channelId: string;
  readonly rootId: string;
  readonly acceptedAt: Date;
  readonly traceId: string;
  readonly idOf: (index: number) => string;
};

/** The name of a webhook that has none, in readers' eyes. */
const USERNAME_DEFAULT = "webhook";
/** Code points of a shown name; the whole of it stays in the props. */
const NAME_MAX = 255;
/** Code points of a post's type. */
const KIND_MAX = 64;
const KINDS_BUILT_IN = new Set(["", "me", "slack_attachment"]);
const LEVELS = new Set(["", "important", "urgent"]);
/** Props that the server sets, or that have a member of their own. */
const PROPS_RESERVED = new Set([
  "attachments",
  "from_webhook",
  "override_icon_url",
  "override_username",
  "webhook_display_name",
]);

/** Whether there is anything to show: Mattermost takes blanks for text. */
export function hasContent(payload: Payload): boolean {
  return payload.text !== "" || payload.attachments.length > 0;
}

/**
 * Refuses what only the post itself can tell.
 * @throws AppError `priority_invalid`, `kind_invalid`
 */
export function checkPost({ priority, type }: Payload): void {
  if (priority && (priority.level === undefined || !LEVELS.has(priority.level))) {
    throw refusal("priority_invalid");
  }
  const known = KINDS_BUILT_IN.has(type) || type.startsWith("custom_");
  if (!known || countCodePoints(type) > KIND_MAX) throw refusal("kind_invalid");
}

/**
 * The events of one payload, in the order they are to be read.
 * @throws AppError `props_too_large`
 */
export function toEvents(
  payload: Payload,
  hook: Hook,
  overrides: Overrides,
  stamp: Stamp,
  nameOf: NameOf,
): Event[] {
  const attachments = payload.attachments.map((attachment) => convert(attachment, nameOf));
  const propsJson = JSON.stringify(renderProps(payload, hook, overrides));
  const text = convertText(payload.text, nameOf);
  const author = renderAuthor(payload, hook, overrides);
  const acceptedAt = timestampOf(stamp.acceptedAt);
  const { priority } = payload;
  return splitMessage(text, attachments, propsJson).map((part, index) =>
    chatMessageEvent({
      id: stamp.idOf(index),
      acceptedAt,
      teamId: hook.record.teamId,
      origin: { dialect: "mattermost", hookId: hook.record.id, traceId: stamp.traceId },
      author,
      channelId: stamp.channelId,
      rootId: stamp.rootId,
      kind: payload.attachments.length > 0 ? "slack_attachment" : payload.type,
      priority: priority && create(PrioritySchema, { ...priority, level: priority.level ?? "" }),
      content: { text: part.text, attachments: part.attachments.map(toAttachment), propsJson },
    }),
  );
}

/** The props of every post: the payload's free members, and over them what the server says. */
function renderProps(payload: Payload, { record }: Hook, overrides: Overrides) {
  const free = Object.entries(payload.props).filter(([name]) => !PROPS_RESERVED.has(name));
  const iconUrl = payload.iconUrl || record.overrideIconUrl;
  return {
    ...Object.fromEntries(free),
    from_webhook: "true",
    webhook_display_name: record.name,
    ...(overrides.usernameOverride && {
      override_username: payload.username || record.overrideName || USERNAME_DEFAULT,
    }),
    ...(overrides.iconOverride && iconUrl !== "" && { override_icon_url: iconUrl }),
    ...(overrides.iconOverride &&
      payload.iconEmoji !== "" && { override_icon_emoji: payload.iconEmoji }),
  };
}

/** Who is shown: the bot, or the owner under the webhook's name, as far as overrides are allowed. */
function renderAuthor(payload: Payload, hook: Hook, overrides: Overrides) {
  const account = hook.bot ?? hook.owner;
  const accountName = account?.displayName || account?.name || USERNAME_DEFAULT;
  const put = payload.username || hook.record.overrideName || (hook.bot ? "" : USERNAME_DEFAULT);
  const iconUrl = payload.iconUrl || hook.record.overrideIconUrl;
  return authorOf({
    isBot: hook.bot !== undefined,
    id: account?.id ?? hook.record.ownerId,
    name: cut((overrides.usernameOverride && put) || accountName),
    iconUrl: overrides.iconOverride && isWebAddress(iconUrl) ? iconUrl : "",
    iconEmoji: overrides.iconOverride ? payload.iconEmoji.replace(/^:|:$/g, "") : "",
  });
}

/** Slack's markup to Markdown, where Mattermost does so: the title gets names, no links. */
function convert(attachment: AttachmentBody, nameOf: NameOf): AttachmentBody {
  return {
    ...attachment,
    pretext: convertAttachmentText(attachment.pretext, nameOf),
    text: convertAttachmentText(attachment.text, nameOf),
    title: convertNames(attachment.title, nameOf),
    fields: attachment.fields.map((field) => ({
      ...field,
      value: convertAttachmentText(field.value, nameOf),
    })),
  };
}

function toAttachment(body: AttachmentBody): Attachment {
  return create(AttachmentSchema, {
    id: BigInt(body.id),
    fallback: body.fallback,
    color: body.color,
    pretext: body.pretext,
    authorName: body.author_name,
    authorLink: body.author_link,
    authorIcon: body.author_icon,
    title: body.title,
    titleLink: body.title_link,
    text: body.text,
    fields: body.fields.map(({ title, value, short }) => ({ name: title, value, short })),
    imageUrl: body.image_url,
    thumbUrl: body.thumb_url,
    footer: body.footer,
    footerIcon: body.footer_icon,
    tsJson: body.ts === undefined ? "" : JSON.stringify(body.ts),
    actionsJson: body.actions.length > 0 ? JSON.stringify(body.actions) : "",
  });
}

function cut(name: string): string {
  return name.length <= NAME_MAX ? name : Array.from(name).slice(0, NAME_MAX).join("");
}

/** An address that a page may show a picture from. */
function isWebAddress(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}
