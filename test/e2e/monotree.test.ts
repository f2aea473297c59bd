/** Monotree's incoming webhooks through the front door of a running system: what a sender sees and what readers find. */
import { request } from "node:http";
import { beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type System, useRunningSystem } from "../support/system.ts";
import { undisturbed } from "../support/undisturbed.ts";

const API = "/api/headgate/v1";
const JSON_TYPE = { "content-type": "application/json" };
/** Bytes of the largest body. */
const BODY_MAX = 256 * 1024;

type Answer = {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of any answer; what a test expects of it, it says
  body: any;
};
type Message = { id: string; number: number; text: string; author: { type: string; id: string } };
type Room = { channelId: string; hook: string; botId: string | null };

let running: Awaited<ReturnType<typeof useRunningSystem>>;
let system: System;
beforeAll(async () => {
  running = await useRunningSystem();
  system = running.demo;
});

/** Sends exactly these bytes; without a length when `isChunked`. */
function send(
  url: string,
  given: {
    method?: string;
    headers?: Record<string, string>;
    body?: string;
    isChunked?: boolean;
  } = {},
): Promise<Answer> {
  const { method = "POST", headers = JSON_TYPE, body = '{"text":"x"}', isChunked } = given;
  const length = isChunked ? {} : { "content-length": String(Buffer.byteLength(body)) };
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request(url, { method, headers: { ...headers, ...length }, agent: false }, (res) => {
    const chunks: Buffer[] = [];
    res.on("data", (chunk: Buffer) => chunks.push(chunk));
    res.on("error", reject);
    res.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      resolve({ status: res.statusCode ?? 0, headers: res.headers, text, body: parse(text) });
    });
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Asks the native API as the administrator. @throws Error with the answer when it is no 2xx */
async function ask(method: string, path: string, body?: object): Promise<Answer["body"]> {
  const headers = { ...JSON_TYPE, authorization: `Bearer ${system.admin.token}` };
  const answer = await send(`${system.url}${API}${path}`, {
    method,
    headers,
    body: body ? JSON.stringify(body) : "",
  });
  if (answer.status < 200 || answer.status > 299) throw new Error(`${path}: ${answer.text}`);
  return answer.body;
}

/** A channel of its own with a Monotree hook of its own, so that budgets and messages are this test's alone. */
async function openRoom(given: { teamId?: string; ownerWrites?: boolean } = {}): Promise<Room> {
  const name = `mt-${crypto.randomUUID()}`;
  const channel = await ask("POST", "/channels", { team_id: given.teamId ?? system.team.id, name });
  const hook = await ask("POST", "/incoming-hooks", {
    dialect: "monotree",
    action: "chat_message",
    target: { channel_id: channel.id },
    name,
    ...(given.ownerWrites && { owner_writes: true }),
  });
  return { channelId: channel.id, hook: hook.url, botId: hook.bot_id };
}

const post = (room: Room, payload: object, headers = {}) =>
  send(room.hook, { body: JSON.stringify(payload), headers: { ...JSON_TYPE, ...headers } });

/** The messages of a room, oldest first, once there are as many as `count`. */
async function readMessages(room: Room, count: number): Promise<Message[]> {
  return eventually(async () => {
    const { data } = await ask("GET", `/channels/${room.channelId}/messages?after=0&limit=200`);
    expect(data.length).toBeGreaterThanOrEqual(count);
    return data;
  });
}

/** Posts a last good message, and expects that it is all that the room ever got: nothing refused was published. */
async function expectNothingBefore(room: Room): Promise<void> {
  expect((await post(room, { text: "last" })).status).toBe(201);
  expect((await readMessages(room, 1)).map(({ text }) => text)).toEqual(["last"]);
}

test("MT-1 MT-2 MT-8 a POST without Authorization is stored, and the answer names what was stored", async () => {
  const room = await openRoom();
  const answer = await post(room, { text: "Alert: Kitchen cooler temperature is 12°C" });
  expect(answer.status).toBe(201);
  expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
  expect(answer.headers["cache-control"]).toBe("no-store");
  const [message] = await readMessages(room, 1);
  expect(answer.body).toMatchObject({
    ok: true,
    data: { id: message?.number, text: message?.text },
  });
  expect(Number.isInteger(answer.body.data.id)).toBe(true);
});

test("MT-3 an Authorization header changes nothing", async () => {
  const room = await openRoom();
  expect((await post(room, { text: "x" }, { authorization: "Bearer mono_wrong" })).status).toBe(
    201,
  );
});

test("MT-4 other methods are 405 with Allow, and nothing is published", async () => {
  const room = await openRoom();
  for (const method of ["GET", "PUT", "PATCH", "DELETE"]) {
    const answer = await send(room.hook, { method });
    expect([answer.status, answer.headers.allow]).toEqual([405, "POST"]);
  }
  await expectNothingBefore(room);
});

test("MT-5 an unknown token and an impossible one get one answer", async () => {
  const room = await openRoom();
  const unknown = await send(`${room.hook.slice(0, -4)}AAAA`);
  const impossible = await send(`${system.url}/api/open/v1/incoming/x`);
  expect([unknown.status, unknown.text]).toEqual([404, '{"message":"Webhook not found."}']);
  expect([impossible.status, impossible.text]).toEqual([404, unknown.text]);
});

test("MT-6 a token on another team's host is unknown", async () => {
  const host = `mt-${crypto.randomUUID()}.example.com`;
  const team = await ask("POST", "/teams", { name: `mt-${crypto.randomUUID()}`, host });
  const room = await openRoom({ teamId: team.id });
  const elsewhere = await post(room, { text: "x" }, { host: "other.example.com" });
  expect([elsewhere.status, elsewhere.text]).toEqual([404, '{"message":"Webhook not found."}']);
  expect((await post(room, { text: "x" }, { host })).status).toBe(201);
});

test("MT-7 no answer contains the token", async () => {
  const room = await openRoom();
  const token = room.hook.slice(room.hook.lastIndexOf("/") + 1);
  const answers = [
    await post(room, { text: "x" }),
    await post(room, {}),
    await send(room.hook, { method: "GET" }),
    await send(room.hook, { headers: { "content-type": "text/plain" } }),
    await send(`${room.hook}/slack`),
    await send(room.hook, { body: "x".repeat(BODY_MAX + 1) }),
  ];
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(JSON.stringify(answers)).not.toContain(token);
});

test("MT-13 MT-22 the payload chooses neither target nor sender, and unknown members have no effect", async () => {
  const room = await openRoom();
  const other = await openRoom();
  const chosen = {
    room_id: 1,
    channel_id: other.channelId,
    user_id: 1,
    bot_user_id: 1,
    action: "wall_post",
  };
  expect((await post(room, { text: "x", foo: { bar: 1 }, ...chosen })).status).toBe(201);
  expect(await readMessages(room, 1)).toMatchObject([
    { text: "x", author: { type: "bot", id: room.botId } },
  ]);
  await expectNothingBefore(other);
});

test("MT-15 the bot is the author, or the owner where the hook says so", async () => {
  const byBot = await openRoom();
  const byOwner = await openRoom({ ownerWrites: true });
  expect(Number.isInteger((await post(byBot, { text: "x" })).body.data.bot_user_id)).toBe(true);
  expect((await post(byOwner, { text: "x" })).body.data.bot_user_id).toBeNull();
  const me = await ask("GET", "/me");
  expect(await readMessages(byBot, 1)).toMatchObject([
    { author: { type: "bot", id: byBot.botId } },
  ]);
  expect(await readMessages(byOwner, 1)).toMatchObject([
    { author: { type: "user", id: me.id ?? me.user?.id } },
  ]);
});

test("MT-16 MT-17 MT-18 MT-24 MT-25 MT-26 what is no text is 422, and nothing is published", async () => {
  const room = await openRoom();
  const cases = [
    ["{}", "text", "The text field is required."],
    ['{"text":"   "}', "text", "The text field is required."],
    ['{"text":123}', "text", "The text field must be a string."],
    ['{"text":"a\\u0000b"}', "text", "The text field contains invalid characters."],
    ['{"text":', "body", "The request body must be valid JSON."],
    ['[{"text":"x"}]', "body", "The request body must be a JSON object."],
    ["null", "body", "The request body must be a JSON object."],
  ] as const;
  for (const [body, field, text] of cases) {
    const answer = await send(room.hook, { body });
    expect([answer.status, answer.body]).toEqual([
      422,
      { message: text, errors: { [field]: [text] } },
    ]);
  }
  await expectNothingBefore(room);
});

test("MT-19 MT-20 MT-23 texts are trimmed and otherwise stored unchanged, up to 10,000 code points", async () => {
  const room = await openRoom();
  const texts = ["12°C 🧊\r\nsecond\n\tthird <b>*not markup*", "🔥".repeat(10_000)];
  expect((await post(room, { text: " hi " })).body.data.text).toBe("hi");
  for (const text of texts) expect((await post(room, { text })).status).toBe(201);
  expect((await post(room, { text: "🔥".repeat(10_001) })).status).toBe(422);
  expect((await readMessages(room, 3)).map(({ text }) => text)).toEqual(["hi", ...texts]);
});

test("MT-21 media without text is a fault of the text", async () => {
  const room = await openRoom();
  const media = [{ url: "https://example.com/a.png", type: "image" }];
  const answer = await post(room, { media });
  expect([answer.status, Object.keys(answer.body.errors)]).toEqual([422, ["text"]]);
});

test("MT-27 MT-28 MT-29 only plain UTF-8 JSON is taken, and nothing else is published", async () => {
  const refused: Record<string, string>[] = [
    { "content-type": "text/plain" },
    { "content-type": "application/x-www-form-urlencoded" },
    { "content-type": "multipart/form-data; boundary=x" },
    { "content-type": "application/json; charset=iso-8859-1" },
    { "content-type": "application/json", "content-encoding": "gzip" },
  ];
  const room = await openRoom();
  for (const headers of refused) expect((await send(room.hook, { headers })).status).toBe(415);
  await expectNothingBefore(room);
  for (const type of ["application/json; charset=utf-8", "application/vnd.x+json"]) {
    expect((await send(room.hook, { headers: { "content-type": type } })).status).toBe(201);
  }
});

test("MT-30 a body over 256 KiB is 413, declared or chunked, and nothing is published", async () => {
  const room = await openRoom();
  const body = `{"text":"x","pad":"${"x".repeat(BODY_MAX)}"}`.slice(0, BODY_MAX + 1);
  for (const isChunked of [false, true]) {
    const answer = await send(room.hook, { body, isChunked });
    expect([answer.status, answer.body]).toEqual([413, { message: "The POST data is too large." }]);
    expect(answer.headers["x-ratelimit-remaining"]).toBe("60");
  }
  await expectNothingBefore(room);
});

test("MT-65 MT-69 every answer shows the budget, and a 422 takes one", () =>
  undisturbed(running, async () => {
    const room = await openRoom();
    const first = await post(room, { text: "x" });
    expect([first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]]).toEqual([
      "60",
      "59",
    ]);
    const inSeconds = Number(first.headers["x-ratelimit-reset"]) - Date.now() / 1000;
    expect(inSeconds).toBeGreaterThan(30); // by the sender's clock, when the answer was read
    expect(inSeconds).toBeLessThan(62);
    expect((await post(room, {})).headers["x-ratelimit-remaining"]).toBe("58");
    const unknown = await send(`${room.hook.slice(0, -4)}AAAA`);
    expect(unknown.status).toBe(404);
    expect(unknown.headers["x-ratelimit-limit"]).toBe("60");
  }));

test("MT-66 MT-67 MT-68 the 61st request is 429, other hooks go on, and refusals do not put off the end", async () => {
  const { room, seconds } = await undisturbed(running, async () => {
    const [room, other] = [await openRoom(), await openRoom()];
    for (let at = 0; at < 60; at++) expect((await post(room, { text: `${at}` })).status).toBe(201);
    const refused = await post(room, { text: "61" });
    expect([refused.status, refused.text]).toEqual([429, '{"message":"Too Many Attempts."}']);
    const seconds = Number(refused.headers["retry-after"]);
    expect(String(seconds)).toMatch(/^[1-9]\d?$/);
    expect((await post(other, { text: "x" })).status).toBe(201);
    return { room, seconds };
  });
  // Asks on while it waits: each of these is refused. If they moved the window's end, it would never come.
  await eventually(async () => (await post(room, { text: "again" })).status === 201, {
    timeoutMs: (seconds + 30) * 1000,
  });
  expect(await readMessages(room, 61)).toHaveLength(61);
});

test("MT-80 one idempotency key is one message, answered again, and refused for another body", () =>
  undisturbed(running, async () => {
    const room = await openRoom();
    const key = { "idempotency-key": `"${crypto.randomUUID()}"` };
    const first = await post(room, { text: "once" }, key);
    const again = await post(room, { text: "once" }, key);
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(again.headers["idempotency-replayed"]).toBe("true");
    const conflict = await post(room, { text: "other" }, key);
    expect([conflict.status, Object.keys(conflict.body.errors)]).toEqual([
      422,
      ["idempotency_key"],
    ]);
    await post(room, { text: "last" });
    expect((await readMessages(room, 2)).map(({ text }) => text)).toEqual(["once", "last"]);
  }));

test("MT-80 without the rate limiter, equal requests under a key name one message, which is there", async () => {
  const room = await openRoom();
  const key = { "idempotency-key": crypto.randomUUID() };
  const limiter = running.services["rate-limiter"];
  await limiter.stop();
  try {
    const answers: Answer[] = [];
    for (let turn = 0; turn < 10; turn++) answers.push(await post(room, { text: "once" }, key));
    await post(room, { text: "last" });
    const messages = await readMessages(room, 2);
    expect(messages.map(({ text }) => text)).toEqual(["once", "last"]);
    for (const { status, body } of answers) {
      expect([status, body.data.id]).toEqual([201, messages[0]?.number]);
    }
  } finally {
    await limiter.start();
  }
});

test("a key that is forgotten, with another body, is another message that can be read", async () => {
  const room = await openRoom();
  const key = { "idempotency-key": crypto.randomUUID() };
  expect((await post(room, { text: "first" }, key)).status).toBe(201);
  await running.parts.processes.redis?.restart(); // it keeps nothing
  const later = await post(room, { text: "second" }, key);
  const messages = await readMessages(room, 2);
  expect(messages.map(({ text }) => text)).toEqual(["first", "second"]);
  expect([later.status, later.body.data.id]).toEqual([201, messages[1]?.number]);
});

test("an archived room is 410, as a target that is gone", async () => {
  const room = await openRoom();
  expect((await post(room, { text: "x" })).status).toBe(201);
  await ask("DELETE", `/channels/${room.channelId}`);
  await eventually(async () => {
    const answer = await post(room, { text: "y" });
    expect([answer.status, answer.body]).toEqual([
      410,
      { message: "The target of this webhook is no longer available." },
    ]);
  });
});
