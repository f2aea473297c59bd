/** GET /stream: messages as they become readable, as server-sent events, to those who may read them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import { stringifyJson } from "@headgate/kit/json";
import { Change } from "@headgate/proto/chat/v1/chat";
import { Type } from "typebox";
import { renderMessage } from "../message.ts";
import type { Caller } from "./caller.ts";
import type { Announcement, ApiDeps, RegistryRecord } from "./deps.ts";
import { closed } from "./forms.ts";
import { concernOf, readRights, type Wanted } from "./rights.ts";
import { type AnyRoute, route } from "./route.ts";

/** ms between heartbeats; with each the reader's rights are looked at again. */
const HEARTBEAT_MS = 15_000;
/** ms that the log may take until a first reader can be shown what comes. */
const LIVE_MS = 5_000;
/** ms after which a reader whose stream broke comes back. */
const RETRY_MS = 2_000;
/** Bytes that may wait for one slow reader before the stream is ended. */
const WAITING_BYTES_MAX = 1024 * 1024;
/** Announcements that may wait while rights are looked at. */
const HELD_MAX = 2_000;
/** Streams of this process. */
const STREAMS_MAX = 1_000;
/** Channels that one stream may name. */
const CHANNELS_MAX = 100;
const UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";

const EVENT_NAMES: Readonly<Record<number, string>> = {
  [Change.EDITED]: "message_edited",
  [Change.DELETED]: "message_deleted",
};

/** Each event of the stream. */
const EventForm = Type.Object({
  event: Type.Unsafe<string>({
    type: "string",
    enum: ["message", ...Object.values(EVENT_NAMES), "ready", "gap"],
  }),
  id: Type.Optional(Type.String({ description: "For Last-Event-ID." })),
  data: Type.String({ contentMediaType: "application/json" }),
});

type Deps = Pick<
  ApiDeps,
  "registry" | "management" | "feed" | "onRegistryChange" | "closing" | "log"
>;

/** The route. */
export function createStreamRoutes(deps: Deps): AnyRoute[] {
  let open = 0;
  return [
    route({
      method: "get",
      path: "/stream",
      operationId: "streamMessages",
      summary: "Messages as they become readable, as server-sent events.",
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
      responses: {
        200: {
          description:
            "Events message, message_edited and message_deleted with the message's form as data, ready and gap with {}; " +
            "Last-Event-ID goes on after the id it names, where it is still known, else gap comes first.",
          contentType: "text/event-stream",
          schema: EventForm,
        },
      },
      problems: [404, 409],
      async handler({ caller, query, req, res }) {
        const wanted =
          query.channels === undefined ? undefined : new Set(query.channels.split(","));
        const allowed = await readRights(deps, caller, wanted);
        if (open >= STREAMS_MAX || deps.closing?.aborted) {
          const message = "There are too many live streams.";
          throw new AppError("unavailable", "streams_full", message, { retryAfterMs: 5_000 });
        }
        if (res.destroyed) return undefined; // the reader left while rights were looked at
        open += 1;
        const { live, release } = deps.feed.hold();
        // The front door answers senders that end their half of a connection; a reader that does so has left.
        const leave = () => res.destroy();
        req.socket.once("end", leave);
        res.once("close", () => {
          open -= 1;
          release();
          req.socket.off("end", leave);
        });
        if (live) await becomeLive(live);
        if (res.destroyed) return undefined;
        if (req.method === "HEAD") begin(res).end();
        else openStream({ deps, caller, wanted, allowed, lastId: lastIdOf(req), res });
        return undefined;
      },
    }),
  ];
}

/** Writes until the reader leaves, is too slow, loses a right, or the process stops. */
function openStream({
  deps,
  caller,
  wanted,
  res,
  lastId,
  ...start
}: {
  deps: Deps;
  caller: Caller;
  wanted: Wanted;
  allowed: ReadonlySet<string>;
  lastId: string | undefined;
  res: ServerResponse;
}): void {
  const { feed } = deps;
  let { allowed } = start;
  /** What waits while rights are looked at; undefined: nothing is held back. */
  let held: Announcement[] | undefined;
  let isChecking = false;
  let isStale = false;

  begin(res).write(`retry: ${RETRY_MS}\n\n`);
  const { announcements, isGap } = lastId === undefined ? NOTHING : feed.since(lastId);
  if (isGap) write("gap", undefined, {});
  for (const announcement of announcements) show(announcement);
  // Also names the place where a reader without events begins, so that it can come back to it.
  write("ready", feed.cursor(), {});
  const stops = [
    feed.subscribe(take),
    deps.onRegistryChange(onChange),
    stopTimer(setInterval(beat, HEARTBEAT_MS)),
  ];
  deps.closing?.addEventListener("abort", end, { once: true });
  res.once("close", () => {
    for (const stop of stops) stop();
    deps.closing?.removeEventListener("abort", end);
  });

  function take(announcement: Announcement): void {
    if (held === undefined) show(announcement);
    else if (held.length < HELD_MAX) held.push(announcement);
    else end();
  }

  function show({ message, change, cursor }: Announcement): void {
    if (!allowed.has(message.channelId)) return;
    write(EVENT_NAMES[change] ?? "message", cursor, renderMessage(message));
  }

  function write(event: string, id: string | undefined, data: object): void {
    if (res.writableEnded || res.destroyed) return;
    const idLine = id === undefined ? "" : `id: ${id}\n`;
    res.write(`event: ${event}\n${idLine}data: ${stringifyJson(data)}\n\n`);
    if (res.writableLength > WAITING_BYTES_MAX) res.destroy(); // the reader comes back with Last-Event-ID
  }

  function beat(): void {
    if (!res.writableEnded) res.write(": heartbeat\n\n");
    void check();
  }

  function onChange(change: RegistryRecord): void {
    const concern = concernOf(change, caller, allowed);
    if (concern === "none") return;
    if (concern === "narrower") held ??= [];
    void check();
  }

  /** Looks at the rights again; one look at a time, and once more when something changed meanwhile. */
  async function check(): Promise<void> {
    isStale = true;
    if (isChecking) return;
    isChecking = true;
    try {
      while (isStale && !res.writableEnded) {
        isStale = false;
        allowed = await readRights(deps, caller, wanted);
      }
    } catch (thrown) {
      const error = AppError.from(thrown);
      // A registry that is away says nothing about rights: what was allowed goes on, what may have been lost does not.
      if (error.code !== "unavailable" && error.code !== "deadline_exceeded") {
        if (error.code === "internal") deps.log.error("stream check failed", { error });
        end();
      } else if (held) end();
    } finally {
      isChecking = false;
    }
    const waiting = held ?? [];
    held = undefined;
    for (const announcement of waiting) show(announcement);
  }

  function end(): void {
    held = undefined;
    allowed = new Set();
    res.end();
  }
}

/** @throws AppError unavailable `log_unavailable` */
async function becomeLive(live: Promise<void>): Promise<void> {
  const late = sleep(LIVE_MS, "late", { ref: false });
  if ((await Promise.race([live, late])) !== "late") return;
  const message = "The log did not answer in time.";
  throw new AppError("unavailable", "log_unavailable", message, { retryAfterMs: 5_000 });
}

const NOTHING = { announcements: [], isGap: false };

function begin(res: ServerResponse): ServerResponse {
  res.statusCode = 200;
  res.setHeader("Content-Type", "text/event-stream");
  res.setHeader("Cache-Control", "no-store");
  res.setHeader("X-Content-Type-Options", "nosniff");
  res.setHeader("X-Accel-Buffering", "no"); // or proxies gather events before they pass them on
  res.flushHeaders();
  return res;
}

function lastIdOf(req: IncomingMessage): string | undefined {
  const header = req.headers["last-event-id"];
  return typeof header === "string" && header !== "" ? header : undefined;
}

function stopTimer(timer: NodeJS.Timeout): () => void {
  return () => clearInterval(timer);
}
