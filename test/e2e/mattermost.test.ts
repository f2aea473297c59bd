/** Mattermost's incoming webhooks through the front door of a running system: what a sender sees and what readers find. */
import { request } from "node:http";
import { beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type System, useRunningSystem } from "../support/system.ts";
import { undisturbed } from "../support/undisturbed.ts";

const API = "/api/headgate/v1";
const JSON_TYPE = { "content-type": "application/json" };
const FORM_TYPE = { "content-type": "application/x-www-form-urlencoded" };
const ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769";

type Answer = {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of any answer; what a test expects of it, it says
  body: any;
};
// biome-ignore lint/suspicious/noExplicitAny: the forms of the native API; what a test expects of them, it says
type Thing = any;
type Hook = { id: string; url: string; channel: Thing };

let running: Awaited<ReturnType<typeof useRunningSystem>>;
let system: System;
/** The public channel that shared hooks may be told to write to. */
let c2: Thing;
beforeAll(async () => {
  running = await useRunningSystem();
  system = running.demo;
  c2 = await openChannel();
});

/** Sends exactly this; nothing is added but the length. */
function send(
  url: string,
  given: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Answer> {
  const { method = "POST", headers = JSON_TYPE, body = "" } = given;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const length = { "content-length": String(Buffer.byteLength(body)) };
  const sent = request(url, { method, headers: { ...headers, ...length }, agent: false }, (res) => {
    const chunks: Buffer[] = [];
    res.on("data", (chunk: Buffer) => chunks.push(chunk));
    res.on("error", reject);
    res.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const isJson = res.headers["content-type"]?.includes("json") && text !== "";
      const parsed = isJson ? JSON.parse(text) : undefined;
      resolve({ status: res.statusCode ?? 0, headers: res.headers, text, body: parsed });
    });
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

/** Asks the native API as the administrator. @throws Error with the answer when it is no 2xx */
async function ask(method: string, path: string, body?: object): Promise<Thing> {
  const headers = { ...JSON_TYPE, authorization: `Bearer ${system.admin.token}` };
  const text = body ? JSON.stringify(body) : "";
  const answer = await send(`${system.url}${API}${path}`, { method, headers, body: text });
  if (answer.status < 200 || answer.status > 299) throw new Error(`${path}: ${answer.text}`);
  return answer.body;
}

function openChannel(given: object = {}): Promise<Thing> {
  const name = `mm-${crypto.randomUUID()}`;
  return ask("POST", "/channels", { team_id: system.team.id, name, ...given });
}

/** A hook of its own in a channel of its own. */
async function openHook(given: object = {}, channel?: Thing): Promise<Hook> {
  const target = channel ?? (await openChannel());
  const hook = await ask("POST", "/incoming-hooks", {
    dialect: "mattermost",
    action: "chat_message",
    target: { channel_id: target.id },
    ...given,
  });
  return { id: hook.id, url: hook.url, channel: target };
}

const post = (hook: Hook, payload: unknown, headers: Record<string, string> = JSON_TYPE) =>
  send(hook.url, { headers, body: JSON.stringify(payload) });

/** Posts what must be taken. */
async function deliver(hook: Hook, payload: unknown): Promise<void> {
  const answer = await post(hook, payload);
  expect([answer.status, answer.text]).toEqual([200, "ok"]);
}

/** The messages of a channel, oldest first, once there are as many as `count`. */
function readMessages(channel: Thing, count: number): Promise<Thing[]> {
  return eventually(async () => {
    const { data } = await ask("GET", `/channels/${channel.id}/messages?after=0&limit=200`);
    expect(data.length).toBeGreaterThanOrEqual(count);
    return data;
  });
}

/** Posts a last good message, and expects that it is all that the channel ever got. */
async function expectNothingBefore(hook: Hook): Promise<void> {
  await deliver(hook, { text: "last" });
  const messages = await readMessages(hook.channel, 1);
  expect(messages.map(({ text }) => text)).toEqual(["last"]);
}

/** The 26 characters of a UUID. */
function idOf(uuid: string): string {
  const bits = `${BigInt(`0x${uuid.replaceAll("-", "")}`)
    .toString(2)
    .padStart(128, "0")}00`;
  return (bits.match(/.{5}/g) ?? []).map((five) => ALPHABET[Number.parseInt(five, 2)]).join("");
}

describe("formats", () => {
  test("MM-60 JSON is answered ok and read as a post of the owner with from_webhook", async () => {
    const hook = await openHook();
    const answer = await post(hook, { text: "hi" });
    expect([answer.status, answer.text, answer.headers["content-type"]]).toEqual([
      200,
      "ok",
      "text/plain",
    ]);
    expect(answer.headers["x-request-id"]).toMatch(/^[ybndrfg8ejkmcpqxot1uwisza345h769]{26}$/);
    const me = await ask("GET", "/me");
    const [message] = await readMessages(hook.channel, 1);
    expect(message).toMatchObject({
      text: "hi",
      author: { type: "user", id: me.id },
      dialect: "mattermost",
      hook_id: hook.id,
      props: { from_webhook: "true" },
    });
  });

  test("MM-61 MM-64 MM-66 forms, odd case and charset, no type, and multipart are read", async () => {
    const hook = await openHook();
    const body = `payload=${encodeURIComponent('{"text":"form"}')}`;
    for (const suffix of ["", ";charset=utf-8", "; charset=utf-8"]) {
      const type = `application/x-WWW-form-urlencoded${suffix}`;
      const answer = await send(hook.url, { headers: { "content-type": type }, body });
      expect([answer.status, answer.text]).toEqual([200, "ok"]);
    }
    expect((await send(hook.url, { headers: {}, body: '{"text":"bare"}' })).status).toBe(200);
    const form = new FormData();
    form.set("text", "parts");
    form.set("username", "U");
    expect((await fetch(hook.url, { method: "POST", body: form })).status).toBe(200);
    const messages = await readMessages(hook.channel, 5);
    expect(messages.map(({ text }) => text)).toEqual(["form", "form", "form", "bare", "parts"]);
    expect(messages[4].props.override_username).toBe("U");
  });

  test("MM-62 MM-63 MM-67 MM-68 what cannot be read, or says nothing, is 400 and nothing is stored", async () => {
    const hook = await openHook();
    const text = '{"text":"x"}';
    const payload = `payload=${encodeURIComponent(text)}`;
    const refused: [string, string][] = [
      ["application/x-www-form-urlencoded wrongtext", payload],
      ["application/x-www-form-urlencoded", text],
      ["application/json", payload],
      ["mimetype/wrong", payload],
      ...[
        '{"text":""}',
        "{}",
        "null",
        "",
        '{"text":"","attachments":[]}',
        '{"attachments":[null]}',
        '{"text":5}',
        '{"text":"x","attachments":{}}',
      ].map((body): [string, string] => ["application/json", body]),
    ];
    for (const [type, body] of refused) {
      const answer = await send(hook.url, { headers: { "content-type": type }, body });
      expect([type, body, answer.status]).toEqual([type, body, 400]);
      expect(answer.headers["content-type"]).toBe("application/json");
      expect(answer.body).toMatchObject({
        detailed_error: "",
        status_code: 400,
        request_id: answer.headers["x-request-id"],
      });
    }
    await expectNothingBefore(hook);
  });

  test("MM-63 MM-68 wrong labels, unknown members and nulls do no harm", async () => {
    const hook = await openHook();
    const wrong = { "content-type": "mimetype/wrong" };
    expect((await post(hook, { text: "1" }, wrong)).status).toBe(200);
    await deliver(hook, { text: "2", foo: { bar: 1 }, mrkdwn: true });
    await deliver(hook, { text: "3", icon_url: null, channel: null });
    expect((await readMessages(hook.channel, 3)).map(({ text }) => text)).toEqual(["1", "2", "3"]);
  });

  test("MM-65 raw line breaks and tabs are stored", async () => {
    const hook = await openHook();
    const body = '{"text": "a\nb\tc"}';
    expect((await send(hook.url, { body })).status).toBe(200);
    const form = { headers: FORM_TYPE, body: `payload=${encodeURIComponent(body)}` };
    expect((await send(hook.url, form)).status).toBe(200);
    const messages = await readMessages(hook.channel, 2);
    expect(messages.map(({ text }) => text)).toEqual(["a\nb\tc", "a\nb\tc"]);
  });
});

describe("hooks and targets", () => {
  test("MM-69 an unknown hook is 400, a disabled one 501", async () => {
    const hook = await openHook();
    const unknown = await send(`${system.url}/hooks/abc123`, { body: '{"text":"x"}' });
    expect([unknown.status, unknown.body.id]).toEqual([
      400,
      "web.incoming_webhook.invalid.app_error",
    ]);
    await ask("POST", `/incoming-hooks/${hook.id}/disable`);
    await eventually(async () => (await post(hook, { text: "off" })).status === 501);
    const answer = await post(hook, { text: "off" });
    expect(answer.body.id).toBe("web.incoming_webhook.disabled.app_error");
    await ask("POST", `/incoming-hooks/${hook.id}/enable`);
    await eventually(async () => (await post(hook, { text: "last" })).status === 200);
    await eventually(async () => {
      const texts = (await readMessages(hook.channel, 1)).map(({ text }) => text);
      expect(texts.at(-1)).toBe("last");
    });
  });

  test("MM-70 an Authorization header does not matter", async () => {
    const hook = await openHook();
    const headers = { ...JSON_TYPE, authorization: "Bearer nonsense" };
    expect((await post(hook, { text: "x" }, headers)).status).toBe(200);
  });

  test("MM-71 MM-75 a channel is chosen by name, with or without #, and by nothing else", async () => {
    const hook = await openHook();
    const target = await openChannel({ display_name: "Shown Name" });
    await deliver(hook, { text: "1", channel: target.name });
    await deliver(hook, { text: "2", channel: `#${target.name}` });
    expect((await readMessages(target, 2)).map(({ text }) => text)).toEqual(["1", "2"]);
    for (const channel of ["junk", "Shown Name", target.id]) {
      const answer = await post(hook, { text: "x", channel });
      expect([answer.status, answer.body.id]).toEqual([
        404,
        "web.incoming_webhook.channel.app_error",
      ]);
    }
    await expectNothingBefore(hook);
  });

  test("MM-73 a locked hook writes into its own channel only", async () => {
    const hook = await openHook({ target_locked: true });
    await deliver(hook, { text: "1" });
    await deliver(hook, { text: "2", channel: hook.channel.name });
    for (const channel of [c2.name, "@admin"]) {
      const answer = await post(hook, { text: "3", channel });
      expect([answer.status, answer.body.id]).toEqual([
        403,
        "web.incoming_webhook.channel_locked.app_error",
      ]);
    }
    expect((await readMessages(hook.channel, 2)).map(({ text }) => text)).toEqual(["1", "2"]);
  });

  test("MM-74 a private channel needs the owner as a member", async () => {
    const hook = await openHook();
    const secret = await openChannel({ is_private: true });
    // A gateway that the news of the member reaches late refuses until then.
    await eventually(() => deliver(hook, { text: "1", channel: secret.name }));
    const me = await ask("GET", "/me");
    await ask("DELETE", `/channels/${secret.id}/members/${me.id}`);
    await eventually(async () => {
      const answer = await post(hook, { text: "2", channel: secret.name });
      expect(answer.status).toBe(403);
      expect(answer.body.id).toBe("web.incoming_webhook.permissions.app_error");
    });
  });

  test("an archived channel is unknown as a target, and its own hooks are gone", async () => {
    const hook = await openHook();
    const other = await openHook();
    await ask("DELETE", `/channels/${hook.channel.id}`);
    await eventually(async () => (await post(hook, { text: "x" })).status === 400);
    await eventually(async () => {
      const answer = await post(other, { text: "x", channel: hook.channel.name });
      expect(answer.status).toBe(404);
    });
  });
});

describe("content", () => {
  test("MM-76 MM-77 Alertmanager's attachments and coerced fields are read as they were sent", async () => {
    const hook = await openHook();
    await deliver(hook, {
      attachments: [
        {
          title: "[FIRING:1] DiskFull",
          title_link: "http://alerts.example",
          text: "",
          callback_id: "c",
          color: "danger",
          mrkdwn_in: ["text"],
          fields: [{ title: "count", value: 5, short: "true" }],
          actions: [{ type: "button", text: "Open", url: "https://wiki.example" }],
        },
      ],
    });
    const refused = await post(hook, { attachments: [{ fields: [{ short: "maybe" }] }] });
    expect(refused.status).toBe(400);
    const [message] = await readMessages(hook.channel, 1);
    expect(message.attachments).toHaveLength(1);
    expect(message.attachments[0]).toMatchObject({
      title: "[FIRING:1] DiskFull",
      title_link: "http://alerts.example",
      color: "danger",
      fields: [{ name: "count", value: "5", short: true }],
      actions: [{ type: "button", text: "Open", url: "https://wiki.example" }],
    });
  });

  test("MM-78 MM-79 names and icons: payload before hook before webhook", async () => {
    const hook = await openHook({
      override_name: "Hook",
      override_icon_url: "http://i.example/hook.png",
    });
    const plain = await openHook();
    await deliver(hook, {
      text: "x",
      username: "Alert Manager",
      icon_url: "http://i.example/payload.png",
      icon_emoji: ":tada:",
    });
    await deliver(hook, { text: "x" });
    await deliver(plain, { text: "x" });
    const [byPayload, byHook] = await readMessages(hook.channel, 2);
    const [byNobody] = await readMessages(plain.channel, 1);
    expect(byPayload.props).toMatchObject({
      override_username: "Alert Manager",
      override_icon_url: "http://i.example/payload.png",
      override_icon_emoji: ":tada:",
    });
    expect(byPayload.author.name).toBe("Alert Manager");
    expect(byHook.props).toMatchObject({
      override_username: "Hook",
      override_icon_url: "http://i.example/hook.png",
    });
    expect(byNobody.props.override_username).toBe("webhook");
  });

  test("MM-80 MM-81 MM-82 Slack's markup is converted where it is markup, and kept where it is not", async () => {
    const hook = await openHook();
    const me = await ask("GET", "/me");
    const texts: [string, string][] = [
      ["<https://x.example|X>", "[X](https://x.example)"],
      ["<!channel> <!here> <!all>", "@channel @here @all"],
      [`<@${idOf(me.id)}>`, `@${me.name}`],
      ["<@U024BE7LH>", "<@U024BE7LH>"],
      ["`if(a < B || c >= D)`", "`if(a < B || c >= D)`"],
      ["< | \n|\n>", "< | \n|\n>"],
      ["* 1a2b | fix <a@b>\n* 3c4d | x\n|\\", "* 1a2b | fix <a@b>\n* 3c4d | x\n|\\"],
    ];
    for (const [text] of texts) await deliver(hook, { text });
    const link = "<https://x.example|X\nY>";
    await deliver(hook, { attachments: [{ title: link, text: link, pretext: link }] });
    const messages = await readMessages(hook.channel, texts.length + 1);
    expect(messages.slice(0, -1).map(({ text }) => text)).toEqual(texts.map(([, text]) => text));
    expect(messages.at(-1).attachments[0]).toMatchObject({
      title: link,
      text: "[X\nY](https://x.example)",
      pretext: "[X\nY](https://x.example)",
    });
  });

  test("MM-83 MM-84 long texts become messages in order, whole characters, attachments on the last", async () => {
    const hook = await openHook();
    await deliver(hook, { text: "x".repeat(8_200) });
    const text = "🔥é".repeat(12_287);
    await deliver(hook, { text, attachments: [{ text: "a" }] });
    const [whole, ...parts] = await readMessages(hook.channel, 3);
    expect(whole.text).toHaveLength(8_200);
    expect(parts.map((part) => [...part.text].length)).toEqual([16_383, 8_191]);
    expect(parts.map((part) => part.text).join("")).toBe(text);
    expect(parts.map((part) => part.attachments.length)).toEqual([0, 1]);
  });

  test("MM-85 free props survive, the server's own are the server's, props too large are refused; a body over the limit is 413", async () => {
    const hook = await openHook();
    const props = { card: "**card**", from_webhook: "no", attachments: [{ text: "no" }] };
    await deliver(hook, { text: "x", props });
    const [message] = await readMessages(hook.channel, 1);
    expect(message.props).toMatchObject({ card: "**card**", from_webhook: "true" });
    expect(message.props.attachments).toBeUndefined();
    expect(message.attachments).toEqual([]);
    const large = await post(hook, { text: "x", props: { a: "x".repeat(290_000) } });
    expect([large.status, large.body.id]).toEqual([
      400,
      "web.incoming_webhook.split_props_length.app_error",
    ]);
    const over = await post(hook, { text: "x", props: { a: "x".repeat(1_500_000) } });
    expect([over.status, over.body.id]).toEqual([
      413,
      "api.context.request_body_too_large.app_error",
    ]);
  });

  test("MM-86 MM-87 types and priorities out of their form are 400 and store nothing", async () => {
    const hook = await openHook();
    for (const payload of [
      { text: "x", type: "system_generic" },
      { text: "x", priority: {} },
    ]) {
      const answer = await post(hook, payload);
      expect([answer.status, answer.body.id]).toEqual([400, "api.context.invalid_param.app_error"]);
    }
    await expectNothingBefore(hook);
    await deliver(hook, { text: "y", type: "custom_x" });
    await deliver(hook, { text: "z", priority: { priority: "urgent", requested_ack: true } });
    expect((await readMessages(hook.channel, 3)).map(({ text }) => text)).toEqual([
      "last",
      "y",
      "z",
    ]);
  });

  test("MM-88 a reply hangs on a root message of its channel, and on nothing else", async () => {
    const hook = await openHook();
    const other = await openHook();
    await deliver(hook, { text: "root" });
    await deliver(other, { text: "elsewhere" });
    const [root] = await readMessages(hook.channel, 1);
    const [elsewhere] = await readMessages(other.channel, 1);
    await deliver(hook, { text: "reply", root_id: idOf(root.id) });
    const [, reply] = await readMessages(hook.channel, 2);
    expect(reply.root_id).toBe(root.id);
    const { data } = await ask("GET", `/messages/${root.id}/replies`);
    expect(data.map(({ id }: Thing) => id)).toEqual([reply.id]);
    for (const id of [reply.id, elsewhere.id, crypto.randomUUID()]) {
      expect((await post(hook, { text: "x", root_id: idOf(id) })).status).toBe(400);
    }
    expect((await post(hook, { text: "x", root_id: "junk" })).status).toBe(400);
  });

  test("MM-89 a delivery raises last_used_at, a refused one does not (delivery part)", async () => {
    const hook = await openHook();
    const lastUsed = async () => (await ask("GET", `/incoming-hooks/${hook.id}`)).last_used_at;
    expect((await post(hook, { text: "x", channel: "junk" })).status).toBe(404);
    expect(await lastUsed()).toBeNull();
    await deliver(hook, { text: "x" });
    await eventually(async () => expect(await lastUsed()).not.toBeNull());
  });

  test("an Idempotency-Key makes one set of messages of any number of requests", () =>
    undisturbed(running, async () => {
      const hook = await openHook();
      const key = { ...JSON_TYPE, "idempotency-key": crypto.randomUUID() };
      const payload = { text: "x".repeat(20_000) };
      expect((await post(hook, payload, key)).headers["idempotency-replayed"]).toBeUndefined();
      const again = await post(hook, payload, key);
      expect([again.status, again.text, again.headers["idempotency-replayed"]]).toEqual([
        200,
        "ok",
        "true",
      ]);
      expect((await post(hook, { text: "other" }, key)).status).toBe(422);
      await deliver(hook, { text: "last" });
      const lengths = (await readMessages(hook.channel, 3)).map(({ text }) => text.length);
      expect(lengths).toEqual([16_383, 3_617, 4]);
    }));

  test("limits that an owner set are 429 with Retry-After; a hook without has none", async () => {
    await undisturbed(running, async () => {
      const limited = await openHook({ limits: { per_minute: 1, burst: 2 } });
      const statuses: number[] = [];
      for (let at = 0; at < 3; at++) statuses.push((await post(limited, { text: "x" })).status);
      expect(statuses).toEqual([200, 200, 429]);
      const refused = await post(limited, { text: "x" });
      expect(String(refused.headers["retry-after"])).toMatch(/^[1-9]\d*$/);
    });
    const free = await openHook();
    for (let at = 0; at < 70; at++) await deliver(free, { text: `${at}` });
  });
});
