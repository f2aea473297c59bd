import { AuthorType, type Event } from "@headgate/proto/event/v1/event";
import { HookAction, HookState } from "@headgate/proto/registry/v1/registry";
import { describe, expect, test } from "vitest";
import { conformance } from "../conformance.ts";
import { OTHER_HOST, openWorld, START, TOKEN } from "./fake-gate.ts";
import incoming from "./fixtures/incoming.json" with { type: "json" };
import { monotree } from "./index.ts";

const textOf = (event: Event | undefined) =>
  event?.action.case === "chatMessage" ? event.action.value.content?.text : undefined;
const REQUIRED = {
  message: "The text field is required.",
  errors: { text: ["The text field is required."] },
};
const UNKNOWN = { message: "Webhook not found." };

conformance(monotree, {
  credential: TOKEN,
  unknownCredential: `${TOKEN.slice(0, -1)}x`,
  body: '{"text":"x"}',
  contentType: "application/json",
  malformedBody: '{"text":',
  tooManyBytes: 262_145,
});

describe("fixtures", () => {
  for (const { source, request, reply } of incoming) {
    test(source, async () => {
      expect(await openWorld().send({ json: request.body })).toMatchObject(reply);
    });
  }
});

describe("endpoint", () => {
  test("MT-1 a POST without Authorization succeeds", async () => {
    const { send, accepted, touched, hook } = openWorld();
    expect((await send({ json: { text: "x" } })).status).toBe(201);
    expect(accepted).toHaveLength(1);
    expect(touched).toEqual([hook.record.id]);
  });

  test("MT-2 success is 201 with ok and an integer id", async () => {
    const { send, accepted } = openWorld();
    const reply = await send();
    expect(reply).toMatchObject({ status: 201, body: { ok: true, data: { id: 501 } } });
    expect(accepted[0]?.number).toBe(501n);
  });

  test("MT-3 an Authorization header changes nothing", async () => {
    const { send } = openWorld();
    for (const authorization of ["Bearer mono_wrong", "Basic !", ""]) {
      expect((await send({ headers: { authorization } })).status).toBe(201);
    }
  });

  test("MT-4 other methods are 405 with Allow, count nothing and publish nothing", async () => {
    const { send, accepted } = openWorld();
    for (const method of ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]) {
      const reply = await send({ method });
      const message = `The ${method} method is not supported for this route. Supported methods: POST.`;
      expect(reply).toMatchObject({ status: 405, headers: { Allow: "POST" }, body: { message } });
      expect(reply.headers).toMatchObject({
        "X-RateLimit-Limit": "60",
        "X-RateLimit-Remaining": "60",
      });
    }
    expect(accepted).toEqual([]);
  });

  test("a wrong method and a body that is too large show the budget of a hook that only the registry knows yet", async () => {
    const { send } = openWorld({ onlyRegistryKnows: true });
    for (const delivery of [{ method: "GET" }, { headers: { "content-length": "262145" } }]) {
      const { headers } = await send(delivery);
      expect(headers).toMatchObject({ "X-RateLimit-Remaining": "60" });
    }
    expect((await send()).headers).toMatchObject({ "X-RateLimit-Remaining": "59" });
  });

  test("MT-5 an unknown token is 404, like an impossible one", async () => {
    const { send } = openWorld();
    const tokens = [
      `${TOKEN.slice(0, -1)}x`,
      "short",
      "",
      `${TOKEN}/slack`,
      "%2e%2e",
      "a".repeat(129),
    ];
    for (const token of tokens)
      expect(await send({ token })).toMatchObject({ status: 404, body: UNKNOWN });
  });

  test("MT-6 a token on another team's host is 404 with the same body", async () => {
    const { send, accepted } = openWorld({ host: "acme.example.com" });
    expect(await send({ headers: { host: "other.example.com" } })).toMatchObject({
      status: 404,
      body: UNKNOWN,
    });
    expect(accepted).toEqual([]);
    expect((await send({ headers: { host: "ACME.example.com:8065" } })).status).toBe(201);
  });

  test("MT-6 a token of a team without a host is 404 on the host of another team", async () => {
    const { send, accepted } = openWorld();
    expect((await send({ headers: { host: "anything.example.com" } })).status).toBe(201);
    expect(await send({ headers: { host: `${OTHER_HOST}:8065` } })).toMatchObject({
      status: 404,
      body: UNKNOWN,
    });
    expect(accepted).toHaveLength(1);
  });

  test("a hook of a team with a host works at the url that its creation returned", async () => {
    const publicUrl = "https://hooks.example.com/gate";
    const { send } = openWorld({ host: "acme.example.com", publicUrl });
    expect((await send({ headers: { host: "hooks.example.com" } })).status).toBe(201);
    expect((await send({ headers: { host: "elsewhere.example.com" } })).status).toBe(404);
  });

  test("the body of an unknown token or of a hook that may not be used is not read", async () => {
    const unknown = openWorld();
    await unknown.send({ token: `${TOKEN}x` });
    const revoked = openWorld({ hook: { state: HookState.REVOKED } });
    await revoked.send();
    const good = openWorld();
    await good.send();
    expect([unknown.read, revoked.read, good.read]).toEqual([[], [], [12]]);
    expect(good.assigned).toEqual([good.hook.record.id]);
  });

  test("MT-7 no answer contains the token", async () => {
    const { send } = openWorld();
    const replies = [
      await send(),
      await send({ method: "GET" }),
      await send({ json: {} }),
      await send({ body: "{" }),
      await send({ headers: { "content-type": "text/plain" } }),
      await send({ body: "x".repeat(262_145) }),
    ];
    for (const { text } of replies) expect(text).not.toContain(TOKEN);
  });

  test("MT-8 every answer is JSON and kept by nobody", async () => {
    const { send } = openWorld();
    const replies = [
      await send(),
      await send({ json: {} }),
      await send({ method: "GET" }),
      await send({ token: "x" }),
    ];
    for (const { headers } of replies) {
      expect(headers).toMatchObject({
        "Content-Type": "application/json; charset=utf-8",
        "Cache-Control": "no-store",
      });
    }
  });
});

describe("sender and target", () => {
  test("MT-13 the payload cannot choose target, sender or action", async () => {
    const { send, accepted, room, bot } = openWorld();
    const json = {
      text: "x",
      room_id: 9,
      wall_id: 9,
      user_id: 9,
      bot_user_id: 9,
      action: "wall_post",
    };
    expect(await send({ json })).toMatchObject({
      body: { data: { room_id: 31, bot_user_id: 873 } },
    });
    expect(accepted[0]).toMatchObject({
      author: { id: bot.id },
      action: { case: "chatMessage", value: { channelId: room.id } },
    });
  });

  test("MT-15 the bot writes by default, the owner where the hook names no bot", async () => {
    const byBot = openWorld();
    expect(await byBot.send()).toMatchObject({ body: { data: { bot_user_id: 873 } } });
    expect(byBot.accepted[0]?.author).toMatchObject({
      type: AuthorType.BOT,
      id: byBot.bot.id,
      name: "Alerts",
    });
    const byOwner = openWorld({ hook: { botId: "" } });
    expect(await byOwner.send()).toMatchObject({ body: { data: { bot_user_id: null } } });
    expect(byOwner.accepted[0]?.author).toMatchObject({
      type: AuthorType.USER,
      id: byOwner.owner.id,
      name: "Ada",
    });
  });

  test("a hook that may not be used answers with its own status", async () => {
    const gone = {
      status: 410,
      body: { message: "The target of this webhook is no longer available." },
    };
    const cases = [
      [
        { hook: { state: HookState.REVOKED } },
        { status: 410, body: { message: "This webhook has been revoked." } },
      ],
      [
        { hook: { state: HookState.DISABLED } },
        { status: 403, body: { message: "This webhook is disabled." } },
      ],
      [{ roomArchived: true }, gone],
      [{ roomGone: true }, gone],
      [{ botDeactivated: true }, gone],
      [{ ownerGone: true, hook: { botId: "" } }, gone],
      [{ ownerGone: true }, gone],
      [{ ownerDeactivated: true }, gone],
      [{ ownerLeft: true }, gone],
    ] as const;
    for (const [world, reply] of cases) {
      const { send, accepted } = openWorld(world);
      expect(await send()).toMatchObject({ ...reply, headers: { "X-RateLimit-Remaining": "59" } });
      expect(accepted).toEqual([]);
    }
  });

  test("a hook of another action is refused as not available, and nothing is published", async () => {
    const { send, accepted } = openWorld({ hook: { action: HookAction.WALL_POST } });
    const reply = await send();
    expect(reply).toMatchObject({
      status: 503,
      body: { message: "This webhook's action is not available." },
    });
    expect(reply.headers).toHaveProperty("Retry-After", "3600");
    expect(accepted).toEqual([]);
  });
});

describe("text", () => {
  test("MT-16 no text is a fault", async () => {
    expect(await openWorld().send({ json: {} })).toMatchObject({ status: 422, body: REQUIRED });
    expect(await openWorld().send({ json: { text: null } })).toMatchObject({
      status: 422,
      body: REQUIRED,
    });
  });

  test("MT-17 a blank text is no text", async () => {
    for (const text of ["   ", "", "\r\n\t", "\u00a0\u200b\ufeff"]) {
      expect(await openWorld().send({ json: { text } })).toMatchObject({
        status: 422,
        body: REQUIRED,
      });
    }
  });

  test("MT-18 a text is a string", async () => {
    for (const text of [123, true, ["x"], { a: 1 }]) {
      expect(await openWorld().send({ json: { text } })).toMatchObject({
        status: 422,
        body: { errors: { text: ["The text field must be a string."] } },
      });
    }
  });

  test("MT-19 10,000 code points are a text, one more is too many", async () => {
    const { send, accepted } = openWorld();
    expect((await send({ json: { text: ` ${"🔥".repeat(10_000)} ` } })).status).toBe(201);
    expect(textOf(accepted[0])).toHaveLength(20_000);
    expect(await send({ json: { text: "🔥".repeat(10_001) } })).toMatchObject({
      status: 422,
      body: { errors: { text: ["The text field must not be greater than 10000 characters."] } },
    });
  });

  test("MT-20 a text is trimmed before it is kept and told", async () => {
    const { send, accepted } = openWorld();
    expect(await send({ json: { text: " hi " } })).toMatchObject({
      body: { data: { text: "hi" } },
    });
    expect(textOf(accepted[0])).toBe("hi");
  });

  test("blanks in the middle cost no time", async () => {
    const startedMs = performance.now();
    const text = `a${" ".repeat(200_000)}a`;
    expect((await openWorld().send({ json: { text } })).status).toBe(422);
    expect(performance.now() - startedMs).toBeLessThan(10_000); // a pattern that looks back takes a minute
  });

  test("MT-22 members that nobody knows are ignored", async () => {
    const { send, accepted } = openWorld();
    expect((await send({ json: { text: "x", foo: { bar: 1 } } })).status).toBe(201);
    expect(textOf(accepted[0])).toBe("x");
  });

  test("MT-23 degrees, emoji and line breaks survive unchanged", async () => {
    const { send, accepted } = openWorld();
    const text = "12°C 🧊\r\nsecond\n\tthird <b>&amp; *not markup*";
    expect(await send({ json: { text } })).toMatchObject({ body: { data: { text } } });
    expect(textOf(accepted[0])).toBe(text);
  });

  test("MT-24 U+0000 and lone surrogates are refused", async () => {
    for (const body of ['{"text":"a\\u0000b"}', '{"text":"a\\ud800b"}', '{"text":"\\udc00"}']) {
      expect(await openWorld().send({ body })).toMatchObject({
        status: 422,
        body: { errors: { text: ["The text field contains invalid characters."] } },
      });
    }
  });
});

describe("JSON and transport", () => {
  const MALFORMED = {
    status: 422,
    body: { errors: { body: ["The request body must be valid JSON."] } },
  };

  test("MT-25 malformed JSON is a fault of the body", async () => {
    const bodies = [
      "",
      "{",
      '{"text":"x"',
      "{'text':'x'}",
      '{"text":"x"}x',
      Buffer.from([0x22, 0xff, 0x22]),
    ];
    for (const body of bodies) expect(await openWorld().send({ body })).toMatchObject(MALFORMED);
    const deep = `{"text":"x","a":${"[".repeat(32)}${"]".repeat(32)}}`;
    expect(await openWorld().send({ body: deep })).toMatchObject(MALFORMED);
  });

  test("MT-26 a body is an object", async () => {
    for (const body of ["[]", '"x"', "1", "null", "true"]) {
      expect(await openWorld().send({ body })).toMatchObject({
        status: 422,
        body: { errors: { body: ["The request body must be a JSON object."] } },
      });
    }
  });

  test("of equal keys the last one counts, and a byte order mark is skipped", async () => {
    const { send, accepted } = openWorld();
    expect((await send({ body: '\ufeff{"text":"first","text":"last"}' })).status).toBe(201);
    expect(textOf(accepted[0])).toBe("last");
  });

  test("MT-27 other content types are 415", async () => {
    const types = [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "text/xml",
      "json",
    ];
    for (const type of types) {
      const reply = await openWorld().send({ headers: { "content-type": type } });
      expect(reply).toMatchObject({
        status: 415,
        body: { message: "The Content-Type must be application/json." },
      });
    }
  });

  test("MT-28 JSON types in UTF-8 are taken, other charsets are 415", async () => {
    const good = [
      "",
      "application/json",
      "Application/JSON; charset=UTF-8",
      'application/json;charset="utf-8"',
      "application/vnd.x+json",
      "application/json; profile=x",
    ];
    for (const type of good) {
      expect((await openWorld().send({ headers: { "content-type": type } })).status).toBe(201);
    }
    const type = "application/json; charset=iso-8859-1";
    expect((await openWorld().send({ headers: { "content-type": type } })).status).toBe(415);
  });

  test("MT-29 an encoded body is 415", async () => {
    expect((await openWorld().send({ headers: { "content-encoding": "gzip" } })).status).toBe(415);
  });

  test("MT-30 a body over 256 KiB is 413, counts nothing and publishes nothing", async () => {
    const { send, accepted } = openWorld();
    const body = (bytes: number) => `{"text":"x","pad":"${" ".repeat(bytes - 21)}"}`;
    expect(body(262_144)).toHaveLength(262_144);
    expect((await send({ body: body(262_144) })).status).toBe(201);
    const reply = await send({ body: body(262_145) });
    expect(reply).toMatchObject({ status: 413, body: { message: "The POST data is too large." } });
    expect(reply.headers).toHaveProperty("X-RateLimit-Remaining", "59");
    expect(accepted).toHaveLength(1);
  });
});

describe("media, as far as nothing is fetched", () => {
  const item = (init: object = {}) => ({
    url: "https://example.com/a.png",
    type: "image",
    ...init,
  });
  const errorsOf = async (media: unknown) => {
    const { send, accepted } = openWorld();
    const reply = await send({ json: { text: "x", media } });
    expect(accepted).toHaveLength(reply.status === 201 ? 1 : 0);
    return (reply.body as { errors?: Record<string, string[]> }).errors ?? {};
  };

  test("MT-21 media without text is a fault of the text", async () => {
    expect(await openWorld().send({ json: { media: [item()] } })).toMatchObject({
      status: 422,
      body: { errors: REQUIRED.errors },
    });
  });

  test("MT-32 mixed types are a fault of media", async () => {
    expect(await errorsOf([item(), item({ type: "document" })])).toHaveProperty("media");
  });

  test("more than ten items are a fault of media alone", async () => {
    const errors = await errorsOf(Array.from({ length: 11 }, () => item({ url: "nonsense" })));
    expect(errors).toEqual({ media: ["The media field must not have more than 10 items."] });
  });

  test("MT-49 addresses of other schemes, relative ones and those with user-info are faults", async () => {
    const urls = [
      "ftp://example.com/a",
      "file:///etc/passwd",
      "data:image/png;base64,AA",
      "/a.png",
      "example.com/a.png",
      "http:example.com",
      "https://",
      "https://u:p@example.com/",
      "https://@example.com/",
      "https://example.com:8443/",
      "https://exa mple.com/",
      "https:\\\\example.com",
      `https://example.com/${"a".repeat(2048)}`,
      5,
      {},
      "http://[::1",
    ];
    for (const url of urls) {
      expect(await errorsOf([item({ url })])).toEqual({
        "media.0.url": ["The media.0.url field must be a valid URL."],
      });
    }
  });

  test("MT-50 an empty list and null are no media", async () => {
    expect(await errorsOf([])).toEqual({});
    expect(await errorsOf(null)).toEqual({});
  });

  test("MT-51 media_ids are prohibited", async () => {
    const reply = await openWorld().send({ json: { text: "x", media_ids: [1] } });
    expect(reply).toMatchObject({
      status: 422,
      body: { errors: { media_ids: ["The media ids field is prohibited."] } },
    });
  });

  test("MT-52 a type that does not exist is a fault of the item", async () => {
    expect(await errorsOf([item(), item({ type: "photo" })])).toEqual({
      "media.1.type": ["The selected media.1.type is invalid."],
    });
  });
});

describe("rate limit", () => {
  test("MT-65 every answer shows the budget; the first 60 and 59", async () => {
    const { send } = openWorld();
    const reset = String(START.getTime() / 1000 + 60);
    const shown = (remaining: string) => ({
      "X-RateLimit-Limit": "60",
      "X-RateLimit-Remaining": remaining,
      "X-RateLimit-Reset": reset,
      RateLimit: `"default";r=${remaining};t=60`,
      "RateLimit-Policy": '"default";q=60;w=60',
    });
    expect(await send()).toMatchObject({ status: 201, headers: shown("59") });
    expect(await send({ json: {} })).toMatchObject({ status: 422, headers: shown("58") });
    expect(await send({ token: "unknown" })).toMatchObject({ status: 404, headers: shown("59") });
  });

  test("MT-66 the 61st request of a window is 429", async () => {
    const { send, accepted } = openWorld();
    for (let at = 0; at < 60; at++) await send();
    const reply = await send();
    expect(reply).toMatchObject({ status: 429, body: { message: "Too Many Attempts." } });
    expect(reply.headers).toMatchObject({ "Retry-After": "60", "X-RateLimit-Remaining": "0" });
    expect(Object.keys(reply.body)).toEqual(["message"]);
    expect(accepted).toHaveLength(60);
  });

  test("an address that used up its budget for unknown tokens costs no question to the registry", async () => {
    const { send, asked } = openWorld();
    for (let at = 0; at < 70; at++) await send({ token: `${TOKEN}${at}` });
    expect(asked).toHaveLength(60);
  });

  test("addresses of one IPv6 network share a budget", async () => {
    const { send } = openWorld();
    for (let at = 0; at < 60; at++) await send({ token: `${at}`, source: `2001:db8:1:2::${at}` });
    expect((await send({ token: "x", source: "2001:db8:1:2:ffff::1" })).status).toBe(429);
    expect((await send({ token: "x", source: "2001:db8:1:3::1" })).status).toBe(404);
  });

  test("MT-67 guessers share a budget by address and leave hooks and other addresses untouched", async () => {
    const { send } = openWorld();
    for (let at = 0; at < 60; at++) await send({ token: `${at}` });
    expect((await send({ token: "other" })).status).toBe(429);
    expect((await send({ token: "other", source: "192.0.2.2" })).status).toBe(404);
    expect((await send()).status).toBe(201);
  });

  test("MT-68 after Retry-After the next request succeeds, however many were refused meanwhile", async () => {
    const { send, clock } = openWorld();
    for (let at = 0; at < 60; at++) await send();
    clock.ms += 30_500;
    for (let at = 0; at < 5; at++)
      expect((await send()).headers).toHaveProperty("Retry-After", "30");
    clock.ms += 30_000;
    expect((await send()).status).toBe(201);
  });

  test("MT-69 a 422 takes one", async () => {
    const { send } = openWorld();
    await send({ json: {} });
    expect((await send()).headers).toHaveProperty("X-RateLimit-Remaining", "58");
  });

  test("the owner's limit stands in place of the default", async () => {
    const { send } = openWorld({ hook: { limits: { perMinute: 600, burst: 100 } } });
    expect((await send()).headers).toMatchObject({
      "X-RateLimit-Limit": "600",
      "X-RateLimit-Remaining": "599",
    });
  });
});

describe("Idempotency-Key", () => {
  const headers = { "idempotency-key": '"8e03978e"' };

  test("MT-80 the same key and body publish once and give the first answer again", async () => {
    const { send, accepted } = openWorld();
    const first = await send({ headers });
    const again = await send({ headers: { "idempotency-key": "8e03978e" } });
    expect(again).toMatchObject({ status: 201, body: first.body as object });
    expect(again.headers).toMatchObject({
      "Idempotency-Replayed": "true",
      "X-RateLimit-Remaining": "58",
    });
    expect(first.headers).not.toHaveProperty("Idempotency-Replayed");
    expect(accepted).toHaveLength(1);
  });

  test("MT-80 the same key with another body is 422", async () => {
    const { send, accepted } = openWorld();
    await send({ headers });
    const text = "The idempotency key has already been used with a different payload.";
    const reply = await send({ headers, json: { text: "y" } });
    expect(reply).toMatchObject({ status: 422, body: { errors: { idempotency_key: [text] } } });
    expect(accepted).toHaveLength(1);
  });

  test("MT-80 equal requests name the same message when nothing is remembered", async () => {
    const { send, accepted, claims } = openWorld();
    const first = await send({ headers });
    claims.clear();
    const again = await send({ headers });
    expect(again).toMatchObject({ status: 201, body: first.body as object });
    const [one, other] = accepted;
    expect([other?.id, other?.number]).toEqual([one?.id, one?.number]);
    expect(Number.isSafeInteger(Number(one?.number))).toBe(true);
    claims.clear();
    await send({ headers, json: { text: "y" } });
    expect(accepted[2]?.id).not.toBe(one?.id);
    expect(accepted[2]?.number).not.toBe(one?.number);
  });

  test("some 60 bytes are kept of an answer, whatever the text; nothing of a refusal, which is made again", async () => {
    const { send, claims } = openWorld();
    await send({ headers, json: { text: "x".repeat(10_000) } });
    expect(claims.get("8e03978e")?.answer?.length).toBeLessThan(80);
    claims.clear();
    expect((await send({ headers, json: {} })).status).toBe(422);
    expect(claims.size).toBe(0);
    expect(await send({ headers, json: {} })).toMatchObject({ status: 422, body: REQUIRED });
  });

  test("a key whose first request is still running is 409 with Retry-After", async () => {
    const { send, claims } = openWorld();
    await send({ headers });
    const kept = claims.get("8e03978e");
    if (kept) kept.answer = undefined;
    expect(await send({ headers })).toMatchObject({ status: 409, headers: { "Retry-After": "1" } });
  });

  test("a failure of the log is 503 and frees the key", async () => {
    const { send, claims } = openWorld({ logAway: true });
    const reply = await send({ headers });
    expect(reply).toMatchObject({ status: 503, body: { message: "Service Unavailable" } });
    expect(reply.headers).toMatchObject({ "Retry-After": "1", "X-RateLimit-Remaining": "59" });
    expect(claims.size).toBe(0);
  });

  test("a refused head claims no key", async () => {
    const { send, claims } = openWorld();
    await send({ headers: { ...headers, "content-type": "text/plain" } });
    expect(claims.size).toBe(0);
  });

  test("a key over 255 characters is a fault", async () => {
    const reply = await openWorld().send({ headers: { "idempotency-key": "k".repeat(256) } });
    expect(reply).toMatchObject({
      status: 422,
      body: { errors: { idempotency_key: [expect.any(String)] } },
    });
  });
});

test("a registry that is away is 503 without inner words, and a wrong method is told all the same", async () => {
  const { send } = openWorld({ registryAway: true });
  expect(await send()).toMatchObject({ status: 503, body: { message: "Service Unavailable" } });
  expect((await send({ method: "GET" })).status).toBe(405);
});
