/** Both ways, pure: a payload → the canonical event; the accepted event → Monotree's answer. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@headgate/proto/event/v1/event";
import type { Channel, User } from "@headgate/proto/registry/v1/registry";
import type { HookReply } from "../../dialect.ts";
import { authorOf, chatMessageEvent, timestampOf } from "../../events.ts";
import { COMMON_HEADERS } from "./errors.ts";
import type { Sender } from "./hook.ts";
import type { ChatPayload } from "./schema.ts";

/** What the gateway stamps on an event. */
export type Stamp = {
  readonly id: string;
  readonly number: bigint;
  readonly acceptedAt: Date;
  readonly traceId: string;
};

/** The event of a chat message. Target and writer come from the hook alone. */
export function toEvent(
  payload: ChatPayload,
  { hook, channel, writer }: Sender,
  stamp: Stamp,
): Event {
  return chatMessageEvent({
    id: stamp.id,
    number: stamp.number,
    acceptedAt: timestampOf(stamp.acceptedAt),
    teamId: hook.record.teamId,
    origin: { dialect: "monotree", hookId: hook.record.id, traceId: stamp.traceId },
    author: authorOf({
      isBot: writer.isBot,
      id: writer.id,
      name: writer.displayName || writer.name,
      iconUrl: writer.iconUrl,
    }),
    channelId: channel.id,
    content: { text: payload.text },
  });
}

/** The answer to an accepted chat message, made from its event. `bot` is undefined when the owner writes. */
export function renderAccepted(event: Event, channel: Channel, bot: User | undefined): HookReply {
  const text = event.action.case === "chatMessage" ? event.action.value.content?.text : undefined;
  const data = {
    id: toInteger(event.number),
    room_id: toInteger(channel.number),
    text: text ?? "",
    bot_user_id: bot ? toInteger(bot.number) : null,
    media: [],
    created_at: event.acceptedAt ? formatTime(timestampDate(event.acceptedAt)) : null,
  };
  return { status: 201, headers: COMMON_HEADERS, body: { ok: true, data } };
}

/** `2026-05-01T08:00:00+00:00`. */
function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}+00:00`;
}

/** Numbers are drawn one by one and stay far below 2^53. */
function toInteger(number: bigint): number {
  return Number(number);
}
