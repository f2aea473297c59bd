/** GET /stream: messages as they become readable, as server-sent events, to readers who may see them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import { stringifyJson } from "@headgate/kit/json";
import { Change } from "@headgate/proto/chat/v1/chat";
import { Type } from "typebox";
import type { Announcement, FeedReader } from "../../../live/feed.ts";
import { type Cursor, parseCursor } from "../../../live/position.ts";
import { createTurns, type Turns } from "../../../live/turns.ts";
import { renderMessage } from "../message.ts";
import type { ApiDeps } from "./deps.ts";
import {
  beginEvents,
  createStreamBuffers,
  type EventWriter,
  openEventWriter,
} from "./event-writer.ts";
import { closed } from "./forms.ts";
import { named } from "./named.ts";
import { createRightsBook, type Rights } from "./rights.ts";
import { type AnyRoute, route } from "./route.ts";
import { createStreamCount, streamsFull } from "./stream-count.ts";

/** ms between heartbeats. */
const HEARTBEAT_MS = 15_000;
/** ms that Kafka may take until a first reader can be shown what comes. */
const LIVE_MS = 5_000;
/** Announcements that one stream handles in a row. */
const AT_ONCE = 32;
/** Channels that one stream may name. */
const CHANNELS_MAX = 100;
const UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";

const EVENT_NAMES: Readonly<Record<number, string>> = {
  [Change.EDITED]: "message_edited",
  [Change.DELETED]: "message_deleted",
};

/** Why some announcements are not shown. */
const GAP_REASONS = ["unknown_id", "too_old", "too_slow"] as const;
type GapReason = (typeof GAP_REASONS)[number];

/** Each event of the stream. */
const StreamEvent = named(
  "StreamEvent",
  Type.Object({
    event: Type.Unsafe<string>({
      type: "string",
      enum: ["message", ...Object.values(EVENT_NAMES), "ready", "gap"],
    }),
    id: Type.Optional(
      Type.String({ description: "The place behind this event, for Last-Event-ID." }),
    ),
    data: Type.String({
      contentMediaType: "application/json",
      description: `A Message; {} for ready; {"reason": ${GAP_REASONS.map((reason) => `"${reason}"`).join(" | ")}, "since": time or null} for gap.`,
    }),
  }),
);

const DESCRIPTION = `Events: \`message\`, \`message_edited\` and \`message_deleted\` hold a message; \`ready\` says that all that was missed
has been shown; \`gap\` says that something cannot be shown any more. A heartbeat every 15 s names the place that the reader has come to.

**Resuming.** Send the last \`id\` as \`Last-Event-ID\`, to any gateway, also after a restart: what was announced since is shown first, up to
10,000 announcements (of all channels) or 64 MiB, as the server's settings say. Beyond that, and for a reader that takes events too slowly, one
\`gap\` comes and the stream goes on with what is new.

**After a gap** read, for each channel that you follow, \`GET /channels/{channel_id}/messages?after=<position of the last message of the channel
that you have>\` until \`data\` is empty. Without positions: walk \`?before\` until you meet a message that you have. \`since\` is the time of the
last event that was shown: what was announced later may be missing. Messages that you then meet twice have the same \`id\`.`;

type Deps = Pick<
  ApiDeps,
  "registry" | "management" | "feed" | "onRegistryChange" | "streams" | "closing" | "log"
>;

/** The route. */
export function createStreamRoutes(deps: Deps): AnyRoute[] {
  const streams = createStreamCount(deps.streams);
  const buffers = createStreamBuffers(deps.streams.bufferBytesMax);
  const rightsBook = createRightsBook(deps);
  const turns = createTurns();
  const render = createRender();
  return [
    route({
      method: "get",
      path: "/stream",
      operationId: "streamMessages",
      summary: "Messages as they become readable, as server-sent events.",
      description: DESCRIPTION,
      tag: "messages",
      query: closed({
        channels: Type.Optional(
          Type.String({
            maxLength: CHANNELS_MAX * 37 - 1, // ids have 36 characters
            pattern: `^${UUID}(,${UUID}){0,${CHANNELS_MAX - 1}}$`,
            description: "Channel ids, with commas between; absent: all that the caller may read.",
          }),
        ),
      }),
      headers: {
        "Last-Event-ID": Type.String({
          description: "The id of the last event of an earlier stream: goes on behind it.",
        }),
      },
      responses: {
        200: {
          description: "The events, until the reader leaves or may no longer read.",
          contentType: "text/event-stream",
          schema: StreamEvent,
        },
      },
      problems: [404, 409],
      async handler({ caller, query, req, res }) {
        if (deps.closing?.aborted) throw streamsFull();
        if (res.destroyed) return undefined;
        const stops: (() => void)[] = [streams.enter(caller.user.id)];
        res.once("close", () => {
          for (const stop of stops.splice(0)) stop();
        });
        const onClose = (stop: () => void) => (res.closed ? stop() : void stops.push(stop));
        let stream: Stream | undefined;
        const wanted =
          query.channels === undefined ? undefined : new Set(query.channels.split(","));
        const rights = await rightsBook.open(caller, wanted, {
          onChecked: () => stream?.wake(),
          onLost: () => stream?.end(),
        });
        onClose(rights.release);
        const { live, release } = deps.feed.hold();
        onClose(release);
        if (live) await becomeLive(live);
        const { reader, gap } = await openReader(deps.feed, lastIdOf(req));
        if (deps.closing?.aborted) throw streamsFull();
        if (res.destroyed) return undefined;
        if (req.method === "HEAD") {
          beginEvents(res).end();
          return undefined;
        }
        stream = openStream({ req, res, reader, gap, rights, turns, render, buffers, deps });
        onClose(stream.stop);
        return undefined;
      },
    }),
  ];
}

/** Renders a message; many streams show the same one at about the same time, and it is rendered once for them. */
function createRender() {
  let last: { readonly announcement: Announcement; readonly text: string } | undefined;
  return function render(announcement: Announcement): string {
    if (last?.announcement !== announcement) {
      last = { announcement, text: stringifyJson(renderMessage(announcement.message)) };
    }
    return last.text;
  };
}

/** @throws AppError unavailable `log_unavailable` */
async function openReader(
  feed: ApiDeps["feed"],
  lastId: string | undefined,
): Promise<{ reader: FeedReader; gap?: { reason: GapReason; cursor?: Cursor } }> {
  if (lastId === undefined) return { reader: feed.read() };
  const cursor = parseCursor(lastId);
  if (!cursor) return { reader: feed.read(), gap: { reason: "unknown_id" } };
  const reader = await feed.resume(cursor);
  return reader ? { reader } : { reader: feed.read(), gap: { reason: "too_old", cursor } };
}

type Stream = { wake(): void; end(): void; stop(): void };

/** Writes until the reader leaves, stalls, loses a right, or the process stops. */
function openStream({
  req,
  res,
  reader,
  gap,
  rights,
  turns,
  render,
  buffers,
  deps: { feed, streams, closing },
}: {
  req: IncomingMessage;
  res: ServerResponse;
  reader: FeedReader;
  gap: { reason: GapReason; cursor?: Cursor } | undefined;
  rights: Rights;
  turns: Turns;
  render: (announcement: Announcement) => string;
  buffers: Parameters<typeof openEventWriter>[0]["buffers"];
  deps: Deps;
}): Stream {
  const writer: EventWriter = openEventWriter({
    res,
    buffers,
    onRoom: wake,
    stallMs: streams.stallMs,
  });
  let isReady = false;
  let shownAt: Date | undefined;
  if (gap) writeGap(gap.reason, gap.cursor?.at);
  // The front door answers senders that end their half of a connection; a reader that does so has left.
  const leave = () => res.destroy();
  req.socket.once("end", leave);
  const unsubscribe = feed.subscribe(wake);
  const timer = setInterval(beat, streams.heartbeatMs ?? HEARTBEAT_MS);
  closing?.addEventListener("abort", end, { once: true });
  wake();
  return { wake, end, stop };

  function wake(): void {
    turns.plan(pump);
  }

  /** Shows what there is, as far as the reader takes it; what it does not take stays in the feed. */
  function pump(): void {
    for (let count = 0; count < AT_ONCE; count++) {
      if (writer.isOver || rights.isHeld || !writer.hasRoom()) return;
      const next = reader.next();
      if (next === undefined) {
        showReady();
        return;
      }
      if (next === "missed") writeGap("too_slow", shownAt);
      else if (rights.allows(next.message.channelId)) show(next);
    }
    wake();
  }

  function show(announcement: Announcement): void {
    shownAt = new Date();
    const name = EVENT_NAMES[announcement.change] ?? "message";
    writer.write(name, reader.cursor(), render(announcement));
  }

  /** Also names the place where a reader without events begins, so that it can come back to it. */
  function showReady(): void {
    if (isReady) return;
    isReady = true;
    writer.write("ready", reader.cursor(), "{}");
  }

  function writeGap(reason: GapReason, since: Date | undefined): void {
    writer.write("gap", undefined, JSON.stringify({ reason, since: since?.toISOString() ?? null }));
  }

  function beat(): void {
    if (!writer.isOver) writer.beat(reader.cursor());
  }

  function end(): void {
    writer.end();
  }

  function stop(): void {
    turns.cancel(pump);
    unsubscribe();
    clearInterval(timer);
    req.socket.off("end", leave);
    closing?.removeEventListener("abort", end);
  }
}

/** @throws AppError unavailable `log_unavailable` */
async function becomeLive(live: Promise<void>): Promise<void> {
  const late = sleep(LIVE_MS, "late", { ref: false });
  if ((await Promise.race([live, late])) !== "late") return;
  const message = "Kafka did not answer in time.";
  throw new AppError("unavailable", "log_unavailable", message, { retryAfterMs: 5_000 });
}

function lastIdOf(req: IncomingMessage): string | undefined {
  const header = req.headers["last-event-id"];
  return typeof header === "string" && header !== "" ? header : undefined;
}
