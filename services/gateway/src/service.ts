/** The rules of acceptance: what the dialects may ask of the gateway, put together from its parts. */
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { OUR_METRIC, OURS } from "@headgate/kit/semconv";
import {
  activeSpan,
  counter,
  describeSpan,
  type SpanContext,
  tracing,
} from "@headgate/kit/telemetry";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import type { Channel } from "@headgate/proto/registry/v1/registry";
import type { Admissions } from "./admissions.ts";
import type { Directory, Gate } from "./dialect.ts";
import type { HookCeiling } from "./hook-ceiling.ts";
import type { Authenticate } from "./ingest/authenticate.ts";
import { isTooLarge, tooLarge, toPublishError } from "./ingest/publish.ts";
import type { Feed } from "./live/feed.ts";
import type { Load } from "./load.ts";
import type { Numbers } from "./numbers.ts";

/** Publishes events of one action; resolves when the log has them all. */
export type PublishEvents = (
  events: readonly Event[],
  options?: { readonly trace?: SpanContext | undefined },
) => Promise<void>;

/** What the gate is made of. */
export type GateDeps = {
  directory: Directory & { mergeChannel(channel: Channel): void };
  authenticate: Authenticate;
  lookUpChannel: (teamId: string, name: string) => Promise<Channel | undefined>;
  admissions: Admissions;
  load: Load;
  ceiling: HookCeiling;
  numbers: Numbers;
  readable: Pick<Feed, "awaitReadable">;
  getMessages: (ids: readonly string[]) => Promise<readonly Message[]>;
  touchHook: (hookId: string) => void;
  publishChat: PublishEvents;
  publicUrl: string;
  now?: () => Date;
};

/** Names of actions in metrics. */
const ACTIONS = {
  chatMessage: "chat_message",
  directMessage: "direct_message",
  wallPost: "wall_post",
  calendarEntry: "calendar_entry",
} as const;

/** Puts the gate together. */
export function createGate(deps: GateDeps): Gate {
  const { admissions, directory, load, publishChat } = deps;
  const ingested = counter(OUR_METRIC.ingestEvents, {
    description: "Events by what became of them.",
  });
  const attributes = new Map<string, Record<string, string>>();

  return {
    authenticate: deps.authenticate,
    admit: admissions.admit,
    peek: admissions.peek,
    settle: admissions.settle,
    takeFromCeiling({ record }, events) {
      if (record.limits) return { granted: events, retryAfterMs: 0 };
      return deps.ceiling.take(record.id, events);
    },
    accept,
    awaitReadable: deps.readable.awaitReadable,
    getMessages: deps.getMessages,
    touchHook: deps.touchHook,
    drawNumber: deps.numbers.draw,
    createId,
    now: deps.now ?? (() => new Date()),
    directory,
    publicUrl: deps.publicUrl,
    async lookUpChannel(teamId, name) {
      const known = directory.channelByName(teamId, name);
      if (known) return known;
      const found = await deps.lookUpChannel(teamId, name);
      if (found) directory.mergeChannel(found);
      return found;
    },
  };

  async function accept(events: readonly Event[]): Promise<void> {
    const first = events[0];
    if (first === undefined) return;
    for (const event of events) {
      if (event.action.case !== "chatMessage") {
        throw new AppError(
          "unimplemented",
          "action_unserved",
          "This server takes chat messages only.",
        );
      }
      if (isTooLarge(event)) throw tooLarge();
    }
    const trace = tracing() ? activeSpan() : undefined;
    if (trace) describeSpan(actionOf(first));
    let isKept = false;
    try {
      await load.run(senderOf(first), events.length, () => publishChat(events, trace && { trace }));
      isKept = true;
    } catch (thrown) {
      throw toPublishError(thrown, events);
    } finally {
      ingested.add(events.length, attributesOf(first, isKept ? "accepted" : "failed"));
    }
  }

  function attributesOf({ origin, action }: Event, outcome: string): Record<string, string> {
    const dialect = origin?.dialect ?? "";
    const key = `${dialect} ${action.case} ${outcome}`;
    let found = attributes.get(key);
    if (found === undefined) {
      found = { [OURS.dialect]: dialect, ...actionOf({ action }), [OURS.outcome]: outcome };
      attributes.set(key, found);
    }
    return found;
  }
}

/** The hook of an event; the account, where a person wrote it. */
function senderOf({ origin, author }: Event): string {
  return origin?.hookId || (author?.id ?? "");
}

function actionOf({ action }: Pick<Event, "action">) {
  return { [OURS.action]: action.case ? ACTIONS[action.case] : "none" };
}
