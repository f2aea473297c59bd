import { once } from "node:events";
import { connect } from "node:net";
import { createId } from "@headgate/kit/ids";
import { Change } from "@headgate/proto/chat/v1/chat";
import { expect, test, vi } from "vitest";
import { messageOf, openApi, TOKEN } from "./fake-api.ts";

type Api = Awaited<ReturnType<typeof openApi>>;

/** Opens a stream; `next` gives the next event, `ended` says that there are no more. */
async function listen(api: Api, query = "", headers: Record<string, string> = {}) {
  const response = await fetch(`${api.url}/stream${query}`, {
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
  });
  expect(response.status).toBe(200);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return { response, next, cancel: () => reader?.cancel() };

  async function next(): Promise<
    { event: string; id: string | undefined; data: unknown } | "ended"
  > {
    for (;;) {
      const end = text.indexOf("\n\n");
      if (end >= 0) {
        const lines = text.slice(0, end).split("\n");
        text = text.slice(end + 2);
        const lineOf = (name: string) =>
          lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const event = lineOf("event");
        if (event !== undefined) {
          return { event, id: lineOf("id"), data: JSON.parse(lineOf("data") ?? "null") };
        }
        continue;
      }
      const read = await reader?.read().catch(() => undefined);
      if (read?.value === undefined) return "ended";
      text += read.value;
    }
  }
}

test("shows messages of channels that the reader may see, and no others", async () => {
  await using api = await openApi();
  const stream = await listen(api);
  expect(stream.response.headers.get("content-type")).toBe("text/event-stream");
  expect(await stream.next()).toEqual({ event: "ready", id: "e-0", data: {} });
  api.announce(messageOf());
  const seen = messageOf({ channelId: api.channel.id });
  api.announce(seen);
  api.announce(seen, Change.EDITED);
  expect(await stream.next()).toMatchObject({ event: "message", id: "e-1", data: { id: seen.id } });
  expect(await stream.next()).toMatchObject({ event: "message_edited" });
  await stream.cancel();
});

test("begins once nothing can be missed any more, and keeps the feed fed until it ends", async () => {
  await using api = await openApi();
  const live = Promise.withResolvers<void>();
  api.world.live = live.promise;
  const opening = listen(api);
  await vi.waitFor(() => expect(api.world.holds).toBe(1));
  expect(api.listeners.size).toBe(0);
  live.resolve();
  const stream = await opening;
  expect(await stream.next()).toMatchObject({ event: "ready" });
  expect(api.listeners.size).toBe(1);
  await stream.cancel();
  await vi.waitFor(() => expect(api.world.holds).toBe(0));
});

test("lets go of a reader that ends its half of the connection", async () => {
  await using api = await openApi();
  const { hostname, port, pathname } = new URL(`${api.url}/stream`);
  const socket = connect(Number(port), hostname);
  const closed = once(socket, "close");
  const head = [`GET ${pathname} HTTP/1.1`, "host: x", `authorization: Bearer ${TOKEN}`];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  await once(socket, "data");
  expect(api.listeners).toHaveLength(1);
  socket.resume().end();
  await closed;
  expect(api.listeners).toHaveLength(0);
});

test("goes on after Last-Event-ID, and says when something is missing", async () => {
  await using api = await openApi();
  const message = messageOf({ channelId: api.channel.id });
  api.backlog.announcements.push({ cursor: "e-7", message, change: Change.CREATED });
  api.backlog.isGap = true;
  const stream = await listen(api, "", { "last-event-id": "e-3" });
  expect(await stream.next()).toMatchObject({ event: "gap" });
  expect(await stream.next()).toMatchObject({ event: "message", id: "e-7" });
  expect(await stream.next()).toMatchObject({ event: "ready" });
  await stream.cancel();
});

test("a named channel must be one that may be read", async () => {
  await using api = await openApi();
  expect((await api.send(`/stream?channels=${createId()}`)).status).toBe(404);
  expect((await api.send("/stream?channels=x")).status).toBe(400);
  expect((await api.send("/stream", { token: undefined })).status).toBe(401);
});

test("ends when a named channel may no longer be read, and shows nothing after", async () => {
  await using api = await openApi();
  const stream = await listen(api, `?channels=${api.channel.id}`);
  await stream.next();
  api.world.gone.add(api.channel.id);
  api.change(`channel_member:${api.channel.id}:${api.user.id}`);
  api.announce(messageOf({ channelId: api.channel.id }));
  expect(await stream.next()).toBe("ended");
});

test("without names it goes on with what is left, and holds nothing back that is still allowed", async () => {
  await using api = await openApi();
  const stream = await listen(api);
  await stream.next();
  api.change(`channel_member:${createId()}:${api.user.id}`);
  api.announce(messageOf({ channelId: api.channel.id }));
  expect(await stream.next()).toMatchObject({ event: "message" });
  api.world.gone.add(api.channel.id);
  api.change(`team_member:${createId()}:${api.user.id}`);
  api.announce(messageOf({ channelId: api.channel.id }));
  api.closing.abort();
  expect(await stream.next()).toBe("ended");
});

test("ends when the token is revoked", async () => {
  await using api = await openApi();
  const stream = await listen(api);
  await stream.next();
  api.world.isRevoked = true;
  const value = { id: createId(), userId: api.user.id };
  api.change(`token:${value.id}`, { case: "revokedToken", value });
  expect(await stream.next()).toBe("ended");
});

test("ends when the process stops, and takes nobody in after that", async () => {
  await using api = await openApi();
  const stream = await listen(api);
  await stream.next();
  api.closing.abort();
  expect(await stream.next()).toBe("ended");
  expect((await api.send("/stream")).status).toBe(503);
  expect([api.listeners.size, api.watchers.size]).toEqual([0, 0]);
});

test("a reader who does not read is ended, and waits in nobody's memory", async () => {
  await using api = await openApi();
  const stream = await listen(api);
  await stream.next();
  const message = messageOf({ channelId: api.channel.id, content: { text: "x".repeat(100_000) } });
  for (let count = 0; count < 2_000 && api.listeners.size > 0; count++) {
    api.announce(message);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(api.listeners.size).toBe(0);
  await stream.cancel();
});
