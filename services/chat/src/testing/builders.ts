/** Events and messages for tests, with defaults: a test names only what matters to it. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createId } from "@headgate/kit/ids";
import { type Message, MessageSchema } from "@headgate/proto/chat/v1/chat";
import {
  AuthorType,
  type ContentSchema,
  type Event,
  EventSchema,
} from "@headgate/proto/event/v1/event";

/** Any members of a message. */
type MessageInit = Exclude<MessageInitShape<typeof MessageSchema>, Message>;

/** The team of everything that does not name another. */
export const TEAM_ID = createId();
/** The channel of everything that does not name another. */
export const CHANNEL_ID = createId();

/** An event that asks for a message in a channel. */
export function buildEvent(overrides: {
  id?: string;
  channelId?: string;
  text?: string;
  content?: MessageInitShape<typeof ContentSchema>;
  rootId?: string;
  acceptedAt?: Date;
}): Event {
  const acceptedAt = overrides.acceptedAt ?? new Date("2026-05-01T08:00:00.123Z");
  return create(EventSchema, {
    id: overrides.id ?? createId(),
    acceptedAt: timestampFromDate(acceptedAt),
    teamId: TEAM_ID,
    origin: {
      dialect: "monotree",
      hookId: createId(),
      traceId: "0af7651916cd43dd8448eb211c80319c",
    },
    author: { type: AuthorType.BOT, id: createId(), name: "Alerts" },
    number: 7n,
    action: {
      case: "chatMessage",
      value: {
        channelId: overrides.channelId ?? CHANNEL_ID,
        content: overrides.content ?? { text: overrides.text ?? "disk 91% on db-3" },
        rootId: overrides.rootId,
      },
    },
  });
}

/** A message as the service hands it to the store. */
export function buildMessage(overrides: MessageInit = {}): Message {
  return create(MessageSchema, {
    id: createId(),
    teamId: TEAM_ID,
    channelId: CHANNEL_ID,
    origin: { dialect: "monotree" },
    author: { type: AuthorType.BOT, name: "Alerts" },
    content: { text: "disk 91% on db-3" },
    count: 1,
    acceptedAt: timestampFromDate(new Date("2026-05-01T08:00:00.123Z")),
    ...overrides,
  });
}
