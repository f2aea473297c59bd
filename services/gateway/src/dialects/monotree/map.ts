/** Both ways, pure: a payload → the canonical event; the accepted event → Monotree's answer. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@headgate/proto/event/v1/event";
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

/** What the answer to an accepted chat message is made of. `botNumber` is null when the owner writes. */
export type Accepted = {
  readonly number: number;
  readonly roomNumber: number;
  readonly botNumber: number | null;
  readonly text: string;
  readonly createdAt: string;
};

/** What was accepted, read from its event. */
export function acceptedOf(event: Event, { channel, writer }: Sender): Accepted {
  const text = event.action.case === "chatMessage" ? event.action.value.content?.text : undefined;
  return {
    number: toInteger(event.number),
    roomNumber: toInteger(channel.number),
    botNumber: writer.isBot ? toInteger(writer.number) : null,
    text: text ?? "",
    createdAt: event.acceptedAt ? formatTime(timestampDate(event.acceptedAt)) : "",
  };
}

/** The answer to an accepted chat message. */
export function renderAccepted(accepted: Accepted): HookReply {
  const data = {
    id: accepted.number,
    room_id: accepted.roomNumber,
    text: accepted.text,
    bot_user_id: accepted.botNumber,
    media: [],
    created_at: accepted.createdAt,
  };
  return { status: 201, headers: COMMON_HEADERS, body: { ok: true, data } };
}

/** `2026-05-01T08:00:00+00:00`. */
function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}+00:00`;
}

/** Drawn ones stay far below 2^52, those of keys below 2^53: see number.ts. */
function toInteger(number: bigint): number {
  return Number(number);
}
