import { once } from "node:events";
import { connect } from "node:net";
import { create } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { Change } from "@headgate/proto/chat/v1/chat";
import { ChannelSchema } from "@headgate/proto/registry/v1/registry";
import { expect, test, vi } from "vitest";
import { formatCursor } from "../../../live/position.ts";
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
  return { response, next, nextId, cancel: () => reader?.cancel().catch(() => {}) };

  /** The id of the next block that has one, be it an event or a heartbeat. */
  async function nextId(): Promise<string | undefined> {
    const [, id] = /^id: (.*)$/m.exec(text) ?? [];
    text = id === undefined ? text : "";
    if (id !== undefined) return id;
    const read = await reader?.read();
    text += read?.value ?? "";
    return await nextId();
  }

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
  const id = expect.stringMatching(/^[A-Za-z0-9_-]+$/);
  expect(await stream.next()).toEqual({ event: "ready", id, data: {} });
  api.announce(messageOf());
  const seen = messageOf({ channelId: api.channel.id });
  api.announce(seen);
  api.announce({ ...seen, count: 2 }, Change.EDITED);
  expect(await stream.next()).toMatchObject({ event: "message", id, data: { id: seen.id } });
  expect(await stream.next()).toMatchObject({ event: "message_edited" });
  await stream.cancel();
});

test("begins once nothing can be missed any more, and keeps the feed fed until it ends", async () => {
  await using api = await openApi();
  const live = Promise.withResolvers<void>();
  api.world.live = live.promise;
  const opening = listen(api);
  await vi.waitFor(() => expect(api.world.holds).toBe(1));
  live.resolve();
  const stream = await opening;
  expect(await stream.next()).toMatchObject({ event: "ready" });
  expect(api.world.holds).toBe(1);
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
  expect(api.world.holds).toBe(1);
  socket.resume().end();
  await closed;
  await vi.waitFor(() => expect(api.world.holds).toBe(0));
});

test("a reader that was away during 10,000 messages of 2 KB gets every one of them", async () => {
  await using api = await openApi();
  const first = await listen(api);
  const ready = await first.next();
  const keeper = await listen(api); // keeps the topic read, as other readers would
  await first.cancel();
  const content = { text: "x".repeat(2_000) };
  const ids = Array.from({ length: 10_000 }, () => createId());
  for (const id of ids) api.announce(messageOf({ id, channelId: api.channel.id, content }));
  const stream = await listen(api, "", { "last-event-id": idOf(ready) });
  const seen: string[] = [];
  for (let next = await stream.next(); next !== "ended" && next.event === "message"; ) {
    seen.push((next.data as { id: string }).id);
    next = await stream.next();
  }
  expect(seen).toEqual(ids);
  await Promise.all([stream.cancel(), keeper.cancel()]);
});

test.each([
  ["of no form of ours", "e-3", { reason: "unknown_id", since: null }],
  [
    "of another topic",
    formatCursor({ position: [0, 0, 0, 1], at: new Date(1_700_000_000_000) }),
    { reason: "too_old", since: "2023-11-14T22:13:20.000Z" },
  ],
])("an id %s is a gap, behind which the stream goes on", async (_what, id, data) => {
  await using api = await openApi();
  const stream = await listen(api, "", { "last-event-id": id });
  expect(await stream.next()).toEqual({ event: "gap", id: undefined, data });
  expect(await stream.next()).toMatchObject({ event: "ready" });
  api.announce(messageOf({ channelId: api.channel.id }));
  expect(await stream.next()).toMatchObject({ event: "message" });
  await stream.cancel();
});

test("heartbeats name the place that a reader has come to, though nothing was shown", async () => {
  await using api = await openApi({}, { heartbeatMs: 20 });
  const stream = await listen(api);
  const first = idOf(await stream.next());
  api.announce(messageOf());
  await vi.waitFor(async () => expect(await stream.nextId()).not.toBe(first), { timeout: 10_000 });
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
  await vi.waitFor(() => expect([api.world.holds, api.watchers.size]).toEqual([0, 0]));
});

test("takes no reader in that was waiting when the process stopped", async () => {
  await using api = await openApi();
  const live = Promise.withResolvers<void>();
  api.world.live = live.promise;
  const opening = api.send("/stream");
  await vi.waitFor(() => expect(api.world.holds).toBe(1));
  api.closing.abort();
  live.resolve();
  expect((await opening).status).toBe(503);
});

test("a reader that does not read is disconnected, keeps little memory, and makes progress when it comes back", async () => {
  await using api = await openApi({}, { heartbeatMs: 20, stallMs: 200 });
  const stream = await listen(api);
  let last = idOf(await stream.next());
  const keeper = await listen(api);
  const content = { text: "x".repeat(100_000) };
  const ids = Array.from({ length: 300 }, () => createId());
  for (const id of ids) api.announce(messageOf({ id, channelId: api.channel.id, content }));
  await keeper.cancel();
  await vi.waitFor(() => expect(api.world.holds).toBe(0), { timeout: 20_000 });
  const seen: string[] = [];
  for (let round = 0; seen.length < ids.length && round < 3; round++) {
    const again = round === 0 ? stream : await listen(api, "", { "last-event-id": last });
    const before = seen.length;
    for (let next = await again.next(); next !== "ended"; next = await again.next()) {
      last = next.id ?? last;
      if (next.event === "message") seen.push((next.data as { id: string }).id);
      if (seen.length === ids.length) break;
    }
    expect(seen.length).toBeGreaterThan(before);
    await again.cancel();
  }
  expect(seen).toEqual(ids);
});

test("what waits for slow readers is bounded for all of them together, and a reader that reads is served meanwhile", async () => {
  const bufferBytesMax = 6 * 1024 * 1024;
  await using api = await openApi({}, { bufferBytesMax });
  const slow = await Promise.all(Array.from({ length: 40 }, () => listen(api)));
  const content = { text: "x".repeat(100_000) };
  const reading = await listen(api);
  await reading.next();
  const ids = Array.from({ length: 200 }, () => createId());
  for (const id of ids) api.announce(messageOf({ id, channelId: api.channel.id, content }));
  for (const id of ids) expect(await reading.next()).toMatchObject({ data: { id } });
  const waiting = [...api.responses].reduce((sum, res) => sum + res.writableLength, 0);
  expect(waiting).toBeGreaterThan(0);
  expect(waiting).toBeLessThan(bufferBytesMax + 110_000);
  await Promise.all([reading, ...slow].map((stream) => stream.cancel()));
});

test("an account may have a number of streams; one more is 429 with Retry-After", async () => {
  await using api = await openApi({}, { perAccountMax: 2 });
  const [first] = [await listen(api), await listen(api)];
  const refused = await api.send("/stream");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "5"]);
  await first?.cancel();
  await vi.waitFor(() => expect(api.world.holds).toBe(1));
  await (await listen(api)).cancel();
});

test("a change that concerns every stream costs one question, and holds back what it may have added", async () => {
  await using api = await openApi();
  const streams = await Promise.all(Array.from({ length: 40 }, () => listen(api)));
  for (const stream of streams) await stream.next();
  const before = { resolved: api.world.resolved, asked: api.asked.length };
  const added = create(ChannelSchema, { id: createId(), teamId: api.channel.teamId, name: "new" });
  api.world.added.push(added);
  api.change(`channel:${added.id}`, { case: "channel", value: added });
  const message = messageOf({ channelId: added.id });
  api.announce(message);
  for (const stream of streams) {
    expect(await stream.next()).toMatchObject({ event: "message", data: { id: message.id } });
  }
  expect(api.world.resolved - before.resolved).toBe(1);
  expect(api.asked.length - before.asked).toBe(1);
  await Promise.all(streams.map((stream) => stream.cancel()));
});

test("a new name of a channel asks nothing", async () => {
  await using api = await openApi();
  const stream = await listen(api);
  await stream.next();
  const before = api.world.resolved;
  const value = { ...api.channel, displayName: "Alerts" };
  api.change(`channel:${value.id}`, { case: "channel", value });
  api.announce(messageOf({ channelId: api.channel.id }));
  expect(await stream.next()).toMatchObject({ event: "message" });
  expect(api.world.resolved).toBe(before);
  await stream.cancel();
});

test("a registry that does not answer ends what may have been lost, and nothing else", async () => {
  let isAway = false;
  const away = new AppError("unavailable", "away", "Away.");
  await using api = await openApi({
    listChannels: () => {
      if (isAway) throw away;
      return { channels: [api.channel] };
    },
  });
  const stream = await listen(api);
  await stream.next();
  isAway = true;
  const other = create(ChannelSchema, { id: createId(), teamId: api.channel.teamId, name: "new" });
  api.change(`channel:${other.id}`, { case: "channel", value: other });
  api.announce(messageOf({ channelId: api.channel.id }));
  expect(await stream.next()).toMatchObject({ event: "message" });
  api.change(`team_member:${createId()}:${api.user.id}`);
  expect(await stream.next()).toBe("ended");
});

function idOf(event: Awaited<ReturnType<Awaited<ReturnType<typeof listen>>["next"]>>): string {
  return event === "ended" ? "" : (event.id ?? "");
}
