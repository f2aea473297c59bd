import { readFileSync } from "node:fs";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { HookState, TeamRole } from "@headgate/proto/registry/v1/registry";
import { describe, expect, onTestFinished, test } from "vitest";
import { UnsureError } from "../../ingest/publish.ts";
import { conformance } from "../conformance.ts";
import {
  channels,
  errorOf,
  HOOK_ID,
  idOf,
  OWNER_ID,
  openWorld,
  PERSON_ID,
  TRACE_ID,
} from "./fake-gate.ts";
import { formatId, isId, requestIdOf, uuidOfId } from "./id.ts";
import { createMattermost } from "./index.ts";

const FORM = "application/x-www-form-urlencoded";
const payloadOf = (payload: unknown) => `payload=${encodeURIComponent(JSON.stringify(payload))}`;
const textOf = ({ accepted }: ReturnType<typeof openWorld>) => {
  const action = accepted.at(-1)?.action;
  return action?.case === "chatMessage" ? action.value.content?.text : undefined;
};
const targetOf = ({ accepted }: ReturnType<typeof openWorld>) => {
  const action = accepted.at(-1)?.action;
  return action?.case === "chatMessage" ? action.value.channelId : undefined;
};

/** Status and id of the refusal that a payload meets. */
async function refusalOf(world: ReturnType<typeof openWorld>, payload: unknown) {
  const reply = await world.sendJson(payload);
  return [reply.status, errorOf(reply).id];
}

describe("formats", () => {
  test("MM-60 a JSON text is answered with the two bytes ok and becomes one event of the owner", async () => {
    const world = openWorld();
    const reply = await world.sendJson({ text: "hi" });
    expect(reply).toMatchObject({ status: 200, body: "ok" });
    expect(reply.headers?.["Content-Type"]).toBe("text/plain");
    expect(world.accepted).toHaveLength(1);
    expect(world.accepted[0]?.author?.id).toBe(OWNER_ID);
    expect(textOf(world)).toBe("hi");
    const action = world.accepted[0]?.action;
    const props = action?.case === "chatMessage" ? action.value.content?.propsJson : "";
    expect(JSON.parse(props ?? "")).toMatchObject({ from_webhook: "true" });
  });

  test.each([
    FORM,
    "Application/X-WWW-Form-UrlEncoded",
    `${FORM};charset=utf-8`,
    `${FORM}; charset=utf-8`,
  ])("MM-61 a form with payload is taken under %s", async (type) => {
    const world = openWorld();
    expect(await world.send({ body: payloadOf({ text: "hi" }), type })).toMatchObject({
      status: 200,
      body: "ok",
    });
    expect(textOf(world)).toBe("hi");
  });

  test("MM-61 the payload may stand in the query of a form", async () => {
    const world = openWorld();
    const query = payloadOf({ text: "from the query" });
    expect((await world.send({ body: "", type: FORM, query })).status).toBe(200);
    expect(textOf(world)).toBe("from the query");
  });

  test("MM-62 a type with trailing junk is refused", async () => {
    const reply = await openWorld().send({
      body: payloadOf({ text: "hi" }),
      type: `${FORM} wrongtext`,
    });
    expect(reply.status).toBe(400);
    expect(errorOf(reply).id).toBe("web.incoming_webhook.media_type.app_error");
  });

  test.each([
    [FORM, '{"text":"hi"}', 400],
    [FORM, "payload=", 400],
    [FORM, "payload=%20", 400],
    ["application/json", payloadOf({ text: "hi" }), 400],
    ["mimetype/wrong", payloadOf({ text: "hi" }), 400],
    ["mimetype/wrong", '{"text":"hi"}', 200],
    ["application/json; charset", '{"text":"hi"}', 200],
    ["", '{"text":"hi"}', 200],
  ])("MM-63 under %j the body %j gets %d", async (type, body, status) => {
    expect((await openWorld().send({ body, type })).status).toBe(status);
  });

  test("MM-64 JSON without a content type is taken", async () => {
    expect((await openWorld().send({ body: '{"text":"hi"}' })).status).toBe(200);
  });

  test.each([
    ["application/json", (json: string) => json],
    [FORM, (json: string) => `payload=${encodeURIComponent(json)}`],
  ])("MM-65 raw line breaks and tabs inside the text are kept, %s", async (type, wrap) => {
    const world = openWorld();
    const body = wrap(
      '{\n\t"text": "a\nb\tc \\" {\\n", "attachments": [{"title" : "x\ny", "color": "good"}]}',
    );
    expect((await world.send({ body, type })).status).toBe(200);
    expect(textOf(world)).toBe('a\nb\tc " {\n');
  });

  test("MM-65 raw line breaks elsewhere stay a fault", async () => {
    const reply = await openWorld().send({ body: '{"text":"x","username":"a\nb"}' });
    expect([reply.status, errorOf(reply).id]).toEqual([
      400,
      "model.incoming_hook.parse_data.app_error",
    ]);
  });

  const multipart = (fields: Record<string, string>, tail = "--b--\r\n") =>
    Object.entries(fields)
      .map(([name, value]) => {
        return `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
      })
      .join("") + tail;
  const MULTIPART = "multipart/form-data; boundary=b";

  test.each([
    [{ text: "hi", username: "U", IconURL: "http://i.example/i.png", channelname: "c2" }],
    [
      {
        payload: '{"text":"hi"}',
        username: "U",
        icon_url: "http://i.example/i.png",
        channel: "c2",
      },
    ],
  ])("MM-66 multipart fields are taken: %j", async (fields) => {
    const world = openWorld();
    expect((await world.send({ body: multipart(fields), type: MULTIPART })).status).toBe(200);
    expect(textOf(world)).toBe("hi");
    expect(targetOf(world)).toBe(channels.c2.id);
    expect(world.accepted[0]?.author).toMatchObject({
      name: "U",
      iconUrl: "http://i.example/i.png",
    });
  });

  test.each([
    ["an unknown part", MULTIPART, multipart({ text: "hi", nope: "1" })],
    ["no boundary", "multipart/form-data", multipart({ text: "hi" })],
    ["a body cut short", MULTIPART, multipart({ text: "hi" }, "")],
    ["nothing", MULTIPART, ""],
    [
      "a file",
      MULTIPART,
      '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--b--\r\n',
    ],
  ])("MM-66 multipart with %s is refused", async (_what, type, body) => {
    const world = openWorld();
    expect((await world.send({ body, type })).status).toBe(400);
    expect(world.accepted).toHaveLength(0);
  });

  test.each([
    "",
    "null",
    "{}",
    '{"text":""}',
    '{"text":"","attachments":[]}',
    '{"attachments":[null]}',
  ])("MM-67 the body %j says nothing and is refused", async (body) => {
    expect((await openWorld().send({ body, type: "application/json" })).status).toBe(400);
  });

  test.each([
    ['{"text":5}', 400],
    ['{"text":"x","attachments":{}}', 400],
    ['{"text":"x","attachments":["a"]}', 400],
    ['{"text":"x","props":[]}', 400],
    ["[]", 400],
    ['"text"', 400],
    ['{"text":"x","foo":{"bar":1},"mrkdwn":true}', 200],
    ['{"text":"x","icon_url":null,"channel":null,"props":null,"priority":null}', 200],
    ['{"TEXT":"x"}', 200],
  ])("MM-68 %s gets %d", async (body, status) => {
    expect((await openWorld().send({ body, type: "application/json" })).status).toBe(status);
  });

  test("more attachments and fields than anybody reads are refused", async () => {
    const fields = Array.from({ length: 2_600 }, () => ({ title: "x" }));
    const world = openWorld();
    expect((await world.sendJson({ attachments: [{ fields }] })).status).toBe(200);
    expect((await world.sendJson({ attachments: [{ fields }, { fields }] })).status).toBe(400);
  });

  test("characters that no table can hold are replaced, and the message is kept", async () => {
    const world = openWorld();
    await world.send({ body: '{"text":"a\\u0000b\\ud800c","props":{"k\\u0000":["\\udc00"]}}' });
    expect(textOf(world)).toBe("a\uFFFDb\uFFFDc");
    await world.send({ body: Buffer.from([...Buffer.from('{"text":"'), 0xff, 0x22, 0x7d]) });
    expect(textOf(world)).toBe("\uFFFD");
  });
});

describe("hooks", () => {
  test.each(["abc123", "a".repeat(26), "8636fjdptj8e8mwnmx9pmjxbze"])(
    "MM-69 the unknown hook %s is refused with 400",
    async (id) => {
      const reply = await openWorld().send({ body: '{"text":"x"}', id });
      expect([reply.status, errorOf(reply).id]).toEqual([
        400,
        "web.incoming_webhook.invalid.app_error",
      ]);
    },
  );

  test("MM-69 a disabled hook and a switched-off feature are 501, a revoked hook is unknown", async () => {
    const disabled = openWorld({ hook: { state: HookState.DISABLED } });
    const off = openWorld({ switches: { incomingWebhooks: false } });
    for (const world of [disabled, off]) {
      expect(await refusalOf(world, { text: "x" })).toEqual([
        501,
        "web.incoming_webhook.disabled.app_error",
      ]);
    }
    expect(
      await refusalOf(openWorld({ hook: { state: HookState.REVOKED } }), { text: "x" }),
    ).toEqual([400, "web.incoming_webhook.invalid.app_error"]);
  });

  test("an address that sent too many unknown ids is refused before its body is read", async () => {
    const world = openWorld({ admission: { decision: "limited", retryAfterMs: 1_200 } });
    const reply = await world.send({ body: '{"text":"x"}', id: idOf(PERSON_ID) });
    expect([reply.status, reply.headers?.["Retry-After"]]).toEqual([429, "2"]);
    expect(world.read).toEqual([]);
  });

  test("of an unknown hook's body only a small one is read, and what is wrong with it comes first", async () => {
    const world = openWorld();
    const id = idOf(PERSON_ID);
    const idsOf = async (body: string, headers = {}) =>
      errorOf(await world.send({ body, id, headers })).id;
    expect(await idsOf('{"text":5}')).toBe("model.incoming_hook.parse_data.app_error");
    expect(await idsOf("{}")).toBe("web.incoming_webhook.text.app_error");
    const large = `{"text":5,"a":"${"x".repeat(5_000)}"}`;
    const invalid = "web.incoming_webhook.invalid.app_error";
    expect(await idsOf(large)).toBe(invalid); // its length is not declared
    world.read.length = 0;
    expect(await idsOf(large, { "content-length": `${large.length}` })).toBe(invalid);
    expect(world.read).toEqual([]);
    expect(await idsOf("", { "content-length": "300513" })).toBe(
      "api.context.request_body_too_large.app_error",
    );
  });

  test("an id is taken in upper case", async () => {
    const reply = await openWorld().send({ body: '{"text":"x"}', id: HOOK_ID.toUpperCase() });
    expect(reply.status).toBe(200);
  });

  test("MM-70 an Authorization header does not matter", async () => {
    const headers = { authorization: "Bearer nonsense" };
    expect((await openWorld().send({ body: '{"text":"x"}', headers })).status).toBe(200);
  });

  test("refusals carry the request's id in header and body, as exactly application/json", async () => {
    const reply = await openWorld().send({ body: "{" });
    expect(reply.headers?.["Content-Type"]).toBe("application/json");
    expect(reply.headers?.["X-Request-Id"]).toBe(requestIdOf(TRACE_ID));
    expect(errorOf(reply)).toMatchObject({
      request_id: requestIdOf(TRACE_ID),
      status_code: 400,
      detailed_error: "",
    });
    expect(errorOf(reply).request_id).toMatch(/^[ybndrfg8ejkmcpqxot1uwisza345h769]{26}$/);
  });

  test.each(["GET", "PUT", "DELETE", "OPTIONS"])("%s is 405 and names POST", async (method) => {
    const reply = await openWorld().send({ body: "", method });
    expect([reply.status, reply.headers?.Allow]).toEqual([405, "POST"]);
  });

  test.each(["/hooks/", "/hooks", "/hooks/commands/abc", "/hooks/abc/def", "/hooks/a-b"])(
    "%s is no delivery",
    async (path) => {
      const world = openWorld();
      const reply = await world.sendTo(path, { body: '{"text":"x"}' });
      expect([reply.status, errorOf(reply).id]).toEqual([404, "api.context.404.app_error"]);
    },
  );

  test("a site's own path may stand before, the management API's may not", () => {
    const [delivery] = createMattermost({
      incomingWebhooks: true,
      usernameOverride: true,
      iconOverride: true,
    }).hooks({} as never); // matching asks the gate nothing
    expect(delivery?.match(`/chat/hooks/${HOOK_ID}`)).toEqual({ id: HOOK_ID });
    expect(delivery?.match("/api/v4/hooks/incoming")).toBeUndefined();
  });

  test("a body over the limit is 413 whatever its type", async () => {
    const body = JSON.stringify({ text: "x".repeat(300_600) });
    for (const type of ["application/json", FORM]) {
      const reply = await openWorld().send({ body, type });
      expect([reply.status, errorOf(reply).id]).toEqual([
        413,
        "api.context.request_body_too_large.app_error",
      ]);
    }
  });

  test("a log that is away is a 503 that says when to come back, and the hook was not used", async () => {
    const refuse = new AppError("unavailable", "log_unavailable", "The log is away.");
    const world = openWorld({ refuse });
    const reply = await world.sendJson({ text: "x" });
    expect([reply.status, reply.headers?.["Retry-After"]]).toEqual([503, "1"]);
    expect(world.touched).toEqual([]);
  });
});

describe("limits and repetition", () => {
  test("the limits that an owner set are asked for, and only those", async () => {
    const free = openWorld();
    await free.sendJson({ text: "x" });
    expect(free.asked[0]?.budgets).toEqual([]);
    const admission = { decision: "limited" as const, retryAfterMs: 1_200 };
    const world = openWorld({ hook: { limits: { perMinute: 60, burst: 5 } }, admission });
    const reply = await world.sendJson({ text: "x" });
    expect([reply.status, reply.headers?.["Retry-After"]]).toEqual([429, "2"]);
    expect(world.asked[0]?.budgets).toEqual([
      {
        key: `hook:${world.record.id}`,
        rule: { case: "tokenBucket", value: { perMinute: 60, burst: 5 } },
      },
    ]);
    expect(world.accepted).toHaveLength(0);
  });

  test.each([
    ["conflict", 422],
    ["in_progress", 409],
  ] as const)("a key in %s is %d", async (decision, status) => {
    const world = openWorld({ admission: { decision, retryAfterMs: 10 } });
    const reply = await world.send({ body: '{"text":"x"}', headers: { "idempotency-key": "k" } });
    expect(reply.status).toBe(status);
  });

  test("a key fixes the ids of all splits, quoted or bare, and a replay is ok without a second event", async () => {
    const world = openWorld();
    const body = JSON.stringify({ text: "x".repeat(16_384) });
    await world.send({ body, headers: { "idempotency-key": "k" } });
    await world.send({ body, headers: { "idempotency-key": '"k"' } });
    const [a, b, c, d] = world.accepted.map(({ id }) => id);
    expect([a, b]).toEqual([c, d]);
    expect(a).not.toBe(b);
    const replaying = openWorld({ admission: { decision: "replay" } });
    const reply = await replaying.send({ body, headers: { "idempotency-key": "k" } });
    expect(reply).toMatchObject({ status: 200, body: "ok" });
    expect(reply.headers?.["Idempotency-Replayed"]).toBe("true");
    expect(replaying.accepted).toHaveLength(0);
  });

  test("a payload in the query of a form is part of what the key stands for", async () => {
    const world = openWorld();
    const headers = { "idempotency-key": "k" };
    for (const text of ["a", "b"]) {
      await world.send({ body: "", type: FORM, query: payloadOf({ text }), headers });
    }
    expect(new Set(world.accepted.map(({ id }) => id)).size).toBe(2);
  });

  test("where Kafka did not say whether it has the posts, a header names them", async () => {
    const refuse = new UnsureError(
      new AppError("unavailable", "log_unsure", "Not acknowledged."),
      [{ id: "01900000-0000-7000-8000-000000000001" }] as never, // only ids are read
    );
    const reply = await openWorld({ refuse }).sendJson({ text: "x" });
    expect([reply.status, reply.headers?.["X-Headgate-Event-Id"]]).toEqual([
      503,
      "01900000-0000-7000-8000-000000000001",
    ]);
  });

  test("a refused delivery forgets its key", async () => {
    const world = openWorld();
    await world.send({
      body: '{"text":"x","channel":"junk"}',
      headers: { "idempotency-key": "k" },
    });
    expect(world.settled).toEqual([undefined]);
  });
});

describe("targets", () => {
  test.each(["c2", "#c2"])("MM-71 channel %j goes to the channel of that name", async (channel) => {
    const world = openWorld();
    expect((await world.sendJson({ text: "x", channel })).status).toBe(200);
    expect(targetOf(world)).toBe(channels.c2.id);
  });

  test.each(["junk", "The c2", "#", "##c2", "gone", "C2", channels.c2.id, idOf(channels.c2.id)])(
    "MM-71 channel %j is 404",
    async (channel) => {
      expect(await refusalOf(openWorld(), { text: "x", channel })).toEqual([
        404,
        "web.incoming_webhook.channel.app_error",
      ]);
    },
  );

  test("a person as target is refused and nothing is posted: direct targets are not served", async () => {
    const world = openWorld();
    expect(await refusalOf(world, { text: "x", channel: "@m" })).toEqual([
      400,
      "web.incoming_webhook.user.app_error",
    ]);
    expect(world.accepted).toHaveLength(0);
  });

  test("MM-73 a locked hook takes its own channel by name or not at all, and no other", async () => {
    const world = openWorld({ hook: { targetLocked: true } });
    expect((await world.sendJson({ text: "x" })).status).toBe(200);
    expect((await world.sendJson({ text: "x", channel: "c1" })).status).toBe(200);
    for (const channel of ["c2", "@m"]) {
      expect(await refusalOf(world, { text: "x", channel })).toEqual([
        403,
        "web.incoming_webhook.channel_locked.app_error",
      ]);
    }
  });

  test("MM-74 a private channel needs the owner among its members", async () => {
    expect(await refusalOf(openWorld(), { text: "x", channel: "p" })).toEqual([
      403,
      "web.incoming_webhook.permissions.app_error",
    ]);
    const world = openWorld({ members: [OWNER_ID] });
    expect((await world.sendJson({ text: "x", channel: "p" })).status).toBe(200);
  });

  test("the news of who is in a channel made a moment ago is waited for", async () => {
    const { createdAt } = channels.p;
    onTestFinished(() => {
      channels.p.createdAt = createdAt;
    });
    channels.p.createdAt = timestampFromDate(new Date("2026-11-20T09:59:59Z")); // the gate's now less 1 s
    let looks = 0;
    const world = openWorld({
      get members() {
        return ++looks > 3 ? [OWNER_ID] : [];
      },
    });
    expect((await world.sendJson({ text: "x", channel: "p" })).status).toBe(200);
  });

  test("MM-75 a public channel does not", async () => {
    expect((await openWorld().sendJson({ text: "x", channel: "c2" })).status).toBe(200);
  });

  test("an own channel that is gone is 404, an owner who is gone 403", async () => {
    const archived = openWorld({ hook: { targetId: channels.gone.id } });
    const missing = openWorld({ hook: { targetId: OWNER_ID } });
    for (const world of [archived, missing]) {
      expect(await refusalOf(world, { text: "x" })).toEqual([
        404,
        "app.channel.get.existing.app_error",
      ]);
    }
    for (const world of [openWorld({ ownerGone: true }), openWorld({ ownerDeactivated: true })]) {
      expect(await refusalOf(world, { text: "x" })).toEqual([
        403,
        "web.incoming_webhook.user.app_error",
      ]);
    }
    for (const role of [TeamRole.UNSPECIFIED, TeamRole.GUEST]) {
      expect(await refusalOf(openWorld({ role }), { text: "x" })).toEqual([
        403,
        "web.incoming_webhook.permissions.app_error",
      ]);
    }
  });
});

describe("ids", () => {
  test("26 characters and a UUID are two forms of one id", () => {
    const uuid = "0192f3c4-5b6a-7c8d-9e0f-112233445566";
    expect(uuidOfId(idOf(uuid))).toBe(uuid);
    expect(isId(idOf(uuid)) && isId(idOf(uuid).toUpperCase())).toBe(true);
    expect(uuidOfId(idOf(uuid).toUpperCase())).toBe(uuid);
    expect(idOf("00000000-0000-0000-0000-000000000000")).toBe("y".repeat(26));
    expect(formatId(new Uint8Array(16).fill(255))).toBe(`${"9".repeat(25)}h`);
  });

  test.each([
    "",
    "y".repeat(25),
    "y".repeat(27),
    `${"y".repeat(25)}b`,
    `${"y".repeat(25)}0`,
    "é".repeat(26),
  ])("%j is no id", (text) => {
    expect(uuidOfId(text)).toBeUndefined();
    expect(isId(text)).toBe(false);
  });
});

describe("fixtures", () => {
  const pairs: {
    name: string;
    source: string;
    request: { type?: string; body: string };
    reply: { status: number; body?: string; id?: string };
  }[] = JSON.parse(readFileSync(new URL("fixtures/deliveries.json", import.meta.url), "utf8"));

  test.each(pairs)("$name ($source)", async ({ request, reply }) => {
    const answer = await openWorld().send(request);
    expect(answer.status).toBe(reply.status);
    if (reply.body !== undefined) expect(answer.body).toBe(reply.body);
    if (reply.id !== undefined) expect(errorOf(answer).id).toBe(reply.id);
  });
});

conformance(
  createMattermost({ incomingWebhooks: true, usernameOverride: true, iconOverride: true }),
  {
    credential: HOOK_ID,
    unknownCredential: idOf(OWNER_ID),
    body: '{"text":"hi"}',
    contentType: "application/json",
    malformedBody: '{"text":5}',
    tooManyBytes: 300_600,
    requestIdOf,
  },
);
