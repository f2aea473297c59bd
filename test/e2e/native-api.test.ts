/** The native management API and the live stream through the front door of a running system. */
import { VERSION } from "@headgate/kit/version";
import { beforeAll, expect, test } from "vitest";
import { openEventStream } from "../support/event-stream.ts";
import { eventually } from "../support/eventually.ts";
import { type System, useRunningSystem } from "../support/system.ts";
import { undisturbed } from "../support/undisturbed.ts";

// biome-ignore lint/suspicious/noExplicitAny: the forms of the API; what a test expects of them, it says
type Thing = any;
type Answer = { status: number; headers: Headers; body: Thing };

const PASSWORD = "correct horse battery";

let running: Awaited<ReturnType<typeof useRunningSystem>>;
let system: System;
beforeAll(async () => {
  running = await useRunningSystem();
  system = running.demo;
});

/** Asks as the holder of a token; as nobody with an empty one. */
async function ask(
  method: string,
  path: string,
  given: { body?: object; token?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const token = given.token ?? system.admin.token;
  const response = await fetch(`${system.url}/api/headgate/v1${path}`, {
    method,
    headers: {
      ...(token !== "" && { authorization: `Bearer ${token}` }),
      ...(given.body && { "content-type": "application/json" }),
      ...given.headers,
    },
    ...(given.body && { body: JSON.stringify(given.body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === "" ? undefined : JSON.parse(text),
  };
}

/** Makes a thing; a message, which may be readable a little later, once it is. */
async function make(path: string, body: object, token?: string): Promise<Thing> {
  const answer = await ask("POST", path, { body, ...(token !== undefined && { token }) });
  if (answer.status === 202) {
    return eventually(async () => {
      const read = await ask("GET", `/messages/${answer.body.id}`);
      return read.status === 200 && read.body;
    });
  }
  expect([answer.status, answer.body]).toEqual([201, answer.body]);
  return answer.body;
}

const openChannel = (given: object = {}): Promise<Thing> =>
  make("/channels", { team_id: system.team.id, name: `api-${crypto.randomUUID()}`, ...given });

/** A member of the team with a session of its own. */
async function openPerson(): Promise<{ id: string; token: string; name: string }> {
  const name = `p-${crypto.randomUUID().slice(0, 20)}`;
  const user = await make("/users", { name, password: PASSWORD, team_id: system.team.id });
  const { token } = await make("/sessions", { name, password: PASSWORD }, "");
  return { id: user.id, token, name };
}

const listen = (token: string, query = "", lastId?: string) =>
  openEventStream(system.url, token, { query, lastId });

test("a message is written, read, replied to, and walked to without gaps", async () => {
  const channel = await openChannel();
  const path = `/channels/${channel.id}/messages`;
  const texts = Array.from({ length: 7 }, (_, at) => `${at}`);
  for (const text of texts) await make(path, { text });
  const walked: string[] = [];
  let after = "0";
  for (;;) {
    const { body } = await ask("GET", `${path}?limit=3&after=${after}`);
    after = body.next;
    if (body.data.length === 0) break;
    walked.push(...body.data.map(({ text }: Thing) => text));
  }
  expect(walked).toEqual(texts);
  const late = await make(path, { text: "late" });
  expect((await ask("GET", `${path}?after=${after}`)).body.data[0].id).toBe(late.id);
  const newest = (await ask("GET", `${path}?limit=2`)).body;
  expect(newest.data.map(({ text }: Thing) => text)).toEqual(["late", "6"]);
  const older = (await ask("GET", `${path}?limit=2&before=${newest.next}`)).body;
  expect(older.data.map(({ text }: Thing) => text)).toEqual(["5", "4"]);
  const reply = await make(path, { text: "reply", root_id: late.id });
  expect((await ask("GET", `/messages/${late.id}/replies`)).body.data).toEqual([reply]);
  const nested = await ask("POST", path, { body: { text: "x", root_id: reply.id } });
  expect([nested.status, nested.body.errors[0].pointer]).toEqual([422, "/root_id"]);
});

test("an Idempotency-Key makes one thing of two requests, and shows its secret once", () =>
  undisturbed(running, async () => {
    const channel = await openChannel();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const path = `/channels/${channel.id}/messages`;
    const sent = { body: { text: "once" }, headers };
    const [first, again] = [await ask("POST", path, sent), await ask("POST", path, sent)];
    expect([again.status, again.body.id]).toEqual([first.status, first.body.id]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect((await ask("POST", path, { body: { text: "other" }, headers })).status).toBe(422);
    await eventually(async () => expect((await ask("GET", path)).body.data).toHaveLength(1));
    const hook = {
      dialect: "headgate",
      action: "chat_message",
      target: { channel_id: channel.id },
      name: "once",
    };
    const made = await ask("POST", "/incoming-hooks", { body: hook, headers });
    const replay = await ask("POST", "/incoming-hooks", { body: hook, headers });
    expect(made.body.token).toMatch(/^hgi_/);
    expect([replay.status, replay.body.id, replay.body.token, replay.body.url]).toEqual([
      201,
      made.body.id,
      null,
      null,
    ]);
  }));

test("what a person may not read is as missing as what is not there", async () => {
  const person = await openPerson();
  const secret = await openChannel({ is_private: true });
  const message = await make(`/channels/${secret.id}/messages`, { text: "secret" });
  const as = { token: person.token };
  const nowhere = crypto.randomUUID();
  for (const [hidden, missing] of [
    [`/channels/${secret.id}`, `/channels/${nowhere}`],
    [`/channels/${secret.id}/messages`, `/channels/${nowhere}/messages`],
    [`/channels/${secret.id}/members`, `/channels/${nowhere}/members`],
    [`/messages/${message.id}`, `/messages/${nowhere}`],
    [`/messages/${message.id}/replies`, `/messages/${nowhere}/replies`],
    [`/stream?channels=${secret.id}`, `/stream?channels=${nowhere}`],
  ] as const) {
    const [one, other] = [await ask("GET", hidden, as), await ask("GET", missing, as)];
    expect([one.status, one.body]).toEqual([404, other.body]);
  }
  await make(`/channels/${secret.id}/members`, { user_id: person.id });
  expect((await ask("GET", `/messages/${message.id}`, as)).body.text).toBe("secret");
});

test("a hook's credential works, is shown once, and ends with its rotation", async () => {
  const channel = await openChannel();
  const made = await make("/incoming-hooks", {
    dialect: "headgate",
    action: "chat_message",
    target: { channel_id: channel.id },
    name: "rotating",
  });
  const post = async (url: string) =>
    (
      await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"text":"x"}',
      })
    ).status;
  expect(await post(made.url)).toBe(202);
  const shown = await ask("GET", `/incoming-hooks/${made.id}`);
  expect(JSON.stringify(shown.body)).not.toContain(made.token);
  const rotated = await ask("POST", `/incoming-hooks/${made.id}/rotate`, {
    body: { grace_seconds: 0 },
  });
  expect(await eventually(async () => (await post(rotated.body.url)) === 202)).toBe(true);
  expect(await post(made.url)).toBe(404); // the process that answered the change refuses from that moment
  expect((await ask("POST", `/incoming-hooks/${made.id}/disable`)).status).toBe(200);
  expect(await post(rotated.body.url)).toBe(403);
  expect((await ask("DELETE", `/incoming-hooks/${made.id}`)).status).toBe(204);
  expect(await post(rotated.body.url)).toBe(404);
});

test("a session works by its cookie, and ends by logging out", async () => {
  const person = await openPerson();
  const login = await ask("POST", "/sessions", {
    token: "",
    body: { name: person.name, password: PASSWORD },
  });
  const cookie = login.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
  expect(login.headers.get("set-cookie")).toMatch(/HttpOnly; SameSite=Lax/);
  const as = (headers: object = {}) => ({ token: "", headers: { cookie, ...headers } });
  expect((await ask("GET", "/me", as())).body.id).toBe(person.id);
  expect((await ask("DELETE", "/sessions/current", as())).status).toBe(403);
  const proof = as({ "x-csrf-token": login.body.csrf_token });
  expect((await ask("DELETE", "/sessions/current", proof)).status).toBe(204);
  expect((await ask("GET", "/me", as())).status).toBe(401);
  const wrong = { name: person.name, password: "wrong password" };
  expect((await ask("POST", "/sessions", { token: "", body: wrong })).status).toBe(401);
});

test("a bot's token acts as the bot, and as nobody once it is revoked", async () => {
  const bot = await make("/bots", {
    name: `b-${crypto.randomUUID().slice(0, 20)}`,
    team_id: system.team.id,
  });
  const token = await make("/tokens", { name: "ci", user_id: bot.id });
  expect((await ask("GET", "/me", { token: token.token })).body).toMatchObject({
    id: bot.id,
    is_bot: true,
  });
  const channel = await openChannel();
  const message = await make(`/channels/${channel.id}/messages`, { text: "x" }, token.token);
  expect(message.author).toMatchObject({ type: "bot", id: bot.id });
  expect((await ask("DELETE", `/tokens/${token.id}`)).status).toBe(204);
  expect((await ask("GET", "/me", { token: token.token })).status).toBe(401);
});

test("the stream shows what the reader may see, goes on after Last-Event-ID, and ends with the right to it", async () => {
  const person = await openPerson();
  const [open, secret] = [await openChannel(), await openChannel({ is_private: true })];
  const stream = await listen(person.token);
  const postTo = (channel: Thing, text: string) =>
    make(`/channels/${channel.id}/messages`, { text });
  const seen = (events: readonly { event: string; data: Thing }[]) =>
    events.filter(({ event }) => event === "message").map(({ data }) => data.text);
  await postTo(secret, "hidden");
  await postTo(open, "1");
  await eventually(() => expect(seen(stream.events)).toEqual(["1"]));
  const lastId = stream.events.at(-1)?.id ?? "";
  stream.stop();
  await postTo(open, "2");
  const again = await listen(person.token, "", lastId);
  await eventually(() => expect(seen(again.events)).toEqual(["2"]));
  again.stop();
  const lost = await listen(person.token, "", "elsewhere-1");
  expect(lost.events[0]?.event).toBe("gap");
  lost.stop();

  await make(`/channels/${secret.id}/members`, { user_id: person.id });
  const member = await listen(person.token, `?channels=${secret.id}`);
  await postTo(secret, "shown");
  await eventually(() => expect(seen(member.events)).toEqual(["shown"]));
  await ask("DELETE", `/channels/${secret.id}/members/${person.id}`);
  await eventually(async () => {
    await postTo(secret, "after");
    return Promise.race([
      member.ended.then(() => true),
      new Promise((r) => setTimeout(r, 50, false)),
    ]);
  });

  const other = await listen(person.token);
  await ask("DELETE", `/users/${person.id}`);
  await other.ended;
});

test("the description is served to everybody, and the status page shows parts, versions and lag", async () => {
  const { body } = await ask("GET", "/openapi.json", { token: "" });
  expect(body.openapi).toBe("3.1.0");
  expect(Object.keys(body.paths)).toContain("/in/{token}/batch");
  await eventually(async () => {
    const status = (await ask("GET", "/status")).body;
    expect(status.status).toBe("ok");
    expect(status.parts).toEqual(
      expect.arrayContaining(
        ["registry", "chat", "rate-limiter"].map((name) => ({
          name,
          ready: true,
          version: VERSION,
        })),
      ),
    );
    const settled = { group: "chat", topic: "chat.requested.v1", lag: 0, lag_seconds: 0 };
    expect(status.groups).toContainEqual(settled);
  });
});
