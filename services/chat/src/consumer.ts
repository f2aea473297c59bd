/** Events asked for → messages announced. */
import { dead, done, type Handler, type Publish } from "@headgate/kit/kafka";
import {
  Change,
  type Message,
  type MessagePosted,
  type MessagePostedSchema,
} from "@headgate/proto/chat/v1/chat";
import type { EventSchema } from "@headgate/proto/event/v1/event";
import type { createMetrics } from "./metrics.ts";
import type { ChatService } from "./service.ts";

/**
 * Handles one batch of chat.requested: stores it, announces every message of it in its order, and only then lets go of
 * the records. A record that comes again is announced again, as it was stored.
 */
export function createChatConsumer(deps: {
  chat: Pick<ChatService, "post">;
  announce: Publish<typeof MessagePostedSchema>;
  metrics: Pick<ReturnType<typeof createMetrics>, "onEvents" | "onReadable">;
}): Handler<typeof EventSchema> {
  return async function onChatRequested(events, { trace }) {
    deps.metrics.onEvents(events);
    const verdicts = await deps.chat.post(events);
    const messages = new Set<Message>();
    for (const verdict of verdicts) if ("message" in verdict) messages.add(verdict.message);
    if (messages.size > 0) await deps.announce([...messages].map(announcement), { trace });
    deps.metrics.onReadable(messages);
    return verdicts.map((verdict) => ("message" in verdict ? done : dead(verdict.refused)));
  };
}

function announcement(message: Message): MessagePosted {
  return { $typeName: "headgate.chat.v1.MessagePosted", message, change: Change.CREATED };
}
