/** Values with defaults, so that a test shows only what matters to it. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createId } from "@headgate/kit/ids";
import {
  AuthorType,
  type ContentSchema,
  type Event,
  EventSchema,
} from "@headgate/proto/event/v1/event";

/** What a test may say about a chat event; the rest is made up, fresh for each. */
export type EventParts = {
  id?: string;
  acceptedAt?: Date;
  teamId?: string;
  channelId?: string;
  text?: string;
  number?: bigint;
  rootId?: string;
  kind?: string;
  content?: Exclude<MessageInitShape<typeof ContentSchema>, { $typeName: string }>;
  origin?: { dialect?: string; hookId?: string; traceId?: string };
  author?: { type?: AuthorType; id?: string; name?: string; iconUrl?: string };
  fold?: { key: string; windowSeconds?: number };
};

/** A chat event as the gateway would have accepted it: by a Headgate hook's bot, in a channel of its own, text "hello". */
export function buildEvent(parts: EventParts = {}): Event {
  return create(EventSchema, {
    id: parts.id ?? createId(),
    acceptedAt: timestampFromDate(parts.acceptedAt ?? new Date()),
    teamId: parts.teamId ?? createId(),
    number: parts.number ?? 0n,
    origin: { dialect: "headgate", hookId: createId(), ...parts.origin },
    author: { type: AuthorType.BOT, id: createId(), name: "alerts", ...parts.author },
    action: {
      case: "chatMessage",
      value: {
        channelId: parts.channelId ?? createId(),
        content: { text: parts.text ?? "hello", ...parts.content },
        rootId: parts.rootId ?? "",
        kind: parts.kind ?? "",
        fold: parts.fold,
      },
    },
  });
}
