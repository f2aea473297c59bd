/** A program of a user: with a client made from the OpenAPI, from a new channel to a stream that goes on where it ended. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

declare const process: { env: Record<string, string>; stdout: { write(text: string): void } };

type Event = components["schemas"]["Event"];
type Message = components["schemas"]["Message"];

const { HEADGATE_URL: baseUrl = "", TOKEN: token = "", TEAM_ID: team_id = "" } = process.env;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const channel = need(
  await client.POST("/api/headgate/v1/channels", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { team_id, name: `ts-${crypto.randomUUID()}` },
  }),
);
const hook = need(
  await client.POST("/api/headgate/v1/incoming-hooks", {
    body: {
      action: "chat_message",
      dialect: "headgate",
      name: "disks",
      target: { channel_id: channel.id },
    },
  }),
);
const found = need(
  await client.GET("/api/headgate/v1/channels", { params: { query: { name: channel.name } } }),
);

const before = await follow(undefined, 0);
await post({ text: "disk 91 % on db-3", severity: "warning", props: { host: "db-3", free: [9] } });
await post({ title: "resolved", fields: [{ name: "host", value: "db-3", short: true }] });
const missed = await follow(before.lastId, 2);

const first = need(
  await client.GET("/api/headgate/v1/channels/{channel_id}/messages", {
    params: { path: { channel_id: channel.id }, query: { after: 0, limit: 1 } },
  }),
);
const second = need(
  await client.GET("/api/headgate/v1/channels/{channel_id}/messages", {
    params: { path: { channel_id: channel.id }, query: { after: first.next ?? 0 } },
  }),
);
const wrong = await client.POST("/api/headgate/v1/channels", { body: { team_id, name: "No" } });
const faults = wrong.error && typeof wrong.error !== "string" ? wrong.error.errors : undefined;

process.stdout.write(
  JSON.stringify({
    found: found.data.map(({ id }) => id === channel.id),
    read: [...first.data, ...second.data].map(({ text, title, props }) => [text, title, props]),
    streamed: missed.messages.map(({ text, title }) => text ?? title),
    refused: faults?.map(({ pointer }) => pointer),
  }),
);

async function post(body: Event): Promise<void> {
  const path = { token: hook.token ?? "" };
  need(await client.POST("/in/{token}", { params: { path, query: { wait: "readable" } }, body }));
}

/** Reads the stream behind an id until it is ready and has shown so many messages. */
async function follow(lastId: string | undefined, count: number) {
  const abort = new AbortController();
  const { data } = await client.GET("/api/headgate/v1/stream", {
    params: {
      query: { channels: channel.id },
      ...(lastId !== undefined && { header: { "Last-Event-ID": lastId } }),
    },
    parseAs: "stream",
    signal: abort.signal,
  });
  if (!data) throw new Error("no stream");
  const messages: Message[] = [];
  let text = "";
  for await (const chunk of data.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/, 2)));
      lastId = lines.id ?? lastId;
      if (lines.event === "message") messages.push(JSON.parse(lines.data) as Message);
      if (lines.event === "ready" && messages.length >= count) {
        abort.abort();
        return { lastId, messages };
      }
    }
  }
  throw new Error("the stream ended");
}

function need<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}
