/**
 * Canonical events, as all dialects write them. Literals with every member, as `create` would leave them: they cost a
 * tenth of what `create` does, and are made for each event.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type Author,
  AuthorType,
  type Content,
  type Event,
  type Fold,
  type Origin,
  type Priority,
  Severity,
} from "@headgate/proto/event/v1/event";

/** The members of a message without protobuf's own. */
type Members<Message> = Omit<Message, "$typeName" | "$unknown">;

/** What a chat message's event is made of; what is absent is empty. */
export type ChatMessageParts = {
  readonly id: string;
  /** The integer id, of dialects that have one. */
  readonly number?: bigint;
  readonly acceptedAt: Timestamp;
  readonly teamId: string;
  readonly origin: Pick<Origin, "dialect" | "traceId"> & Partial<Pick<Origin, "hookId">>;
  readonly author: Author;
  readonly channelId: string;
  readonly rootId?: string;
  readonly kind?: string;
  readonly fold?: Fold | undefined;
  readonly priority?: Priority | undefined;
  readonly content: Partial<Members<Content>>;
};

/** The event that asks for a chat message. */
export function chatMessageEvent(parts: ChatMessageParts): Event {
  const { origin, content } = parts;
  return {
    $typeName: "headgate.event.v1.Event",
    id: parts.id,
    acceptedAt: parts.acceptedAt,
    teamId: parts.teamId,
    origin: {
      $typeName: "headgate.event.v1.Origin",
      dialect: origin.dialect,
      hookId: origin.hookId ?? "",
      outgoingHookId: "",
      hop: 0,
      traceId: origin.traceId,
    },
    author: parts.author,
    number: parts.number ?? 0n,
    action: {
      case: "chatMessage",
      value: {
        $typeName: "headgate.event.v1.ChatMessage",
        channelId: parts.channelId,
        content: {
          $typeName: "headgate.event.v1.Content",
          text: content.text ?? "",
          title: content.title ?? "",
          severity: content.severity ?? Severity.UNSPECIFIED,
          link: content.link ?? "",
          fields: content.fields ?? [],
          attachments: content.attachments ?? [],
          media: content.media ?? [],
          propsJson: content.propsJson ?? "",
        },
        rootId: parts.rootId ?? "",
        fold: parts.fold,
        priority: parts.priority,
        kind: parts.kind ?? "",
      },
    },
  };
}

/** An author; what is absent is empty. */
export function authorOf(
  account: Pick<Author, "id" | "name"> &
    Partial<Pick<Author, "iconUrl" | "iconEmoji">> & { readonly isBot: boolean },
): Author {
  return {
    $typeName: "headgate.event.v1.Author",
    type: account.isBot ? AuthorType.BOT : AuthorType.USER,
    id: account.id,
    name: account.name,
    iconUrl: account.iconUrl ?? "",
    iconEmoji: account.iconEmoji ?? "",
  };
}

/** A moment, in ms. */
export function timestampOf(date: Date): Timestamp {
  const ms = date.getTime();
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1000) * 1e6,
  };
}
