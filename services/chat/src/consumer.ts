/** Events asked for → messages announced. */
import { AppError } from "@headgate/kit/errors";
import { dead, done, type Handler, type Publish } from "@headgate/kit/kafka";
import type { SpanContext } from "@headgate/kit/telemetry";
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
 *
 * A message whose announcement is larger than chat.posted takes stays stored: lists and GetMessages return it, and
 * `?wait=readable` finds it there. Live streams miss it, and its record goes to the dead letter with the reason
 * `announcement_too_large`. It is not announced in part: a reader could not tell a cut text from the whole one.
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
    const tooLarge = new Set(await announceAll([...messages], trace));
    deps.metrics.onReadable(messages);
    return verdicts.map((verdict) => {
      if (!("message" in verdict)) return dead(verdict.refused);
      return tooLarge.has(verdict.message) ? dead("announcement_too_large") : done;
    });
  };

  /** Announces messages in their order; those too large for it are found by halving and returned. */
  async function announceAll(
    messages: readonly Message[],
    trace: SpanContext | undefined,
  ): Promise<readonly Message[]> {
    if (messages.length === 0) return messages;
    try {
      await deps.announce(messages.map(announcement), { trace, atomic: false });
      return [];
    } catch (thrown) {
      if (AppError.from(thrown).reason !== "record_too_large") throw thrown;
    }
    if (messages.length === 1) return messages;
    const half = messages.length >> 1;
    const first = await announceAll(messages.slice(0, half), trace);
    return [...first, ...(await announceAll(messages.slice(half), trace))];
  }
}

function announcement(message: Message): MessagePosted {
  return { $typeName: "headgate.chat.v1.MessagePosted", message, change: Change.CREATED };
}
