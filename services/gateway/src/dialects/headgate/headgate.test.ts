/** The native hook's own rules, over the front door; what all dialects promise is in the conformance suite. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { AlertStatus, type Event, Severity } from "@headgate/proto/event/v1/event";
import { HookState, TeamRole } from "@headgate/proto/registry/v1/registry";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { openTestDoor, type TestDoor } from "../../testing/front-door.ts";
import { measureHold, measureParse } from "../../testing/loop-hold.ts";
import { conformance, sendRaw } from "../conformance.ts";
import { hookPaths } from "./api/openapi-hooks.ts";
import accepted from "./fixtures/accepted.json" with { type: "json" };
import refusals from "./fixtures/refused.json" with { type: "json" };
import { headgate } from "./index.ts";

const TOKEN = `hgi_${"a".repeat(43)}`;
const OTHER = `hgi_${"b".repeat(43)}`;
const PATH = `/in/${TOKEN}`;

conformance(headgate, {
  credential: TOKEN,
  unknownCredential: OTHER,
  body: '{"text":"disk 91% on db-3"}',
  contentType: "application/json",
  malformedBody: '{"text":',
  tooManyBytes: 256 * 1024 + 1,
});

async function open(init: Parameters<TestDoor["addHook"]>[2] = {}) {
  const door = await openTestDoor([headgate]);
  const hook = door.addHook("headgate", TOKEN, init);
  return {
    door,
    hook,
    post: (body: unknown, headers: NodeJS.Dict<string> = {}, path = PATH) =>
      sendRaw(door.port, {
        path,
        headers,
        body: typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      }),
    [Symbol.asyncDispose]: () => door[Symbol.asyncDispose](),
  };
}

/** The schema of a hook's body, as clients read it. */
function schemaOfHook(): object {
  const document = JSON.parse(JSON.stringify(hookPaths)) as typeof hookPaths;
  const { requestBody } = (document["/in/{token}"] as { post: { requestBody: HookBody } }).post;
  return requestBody.content["application/json"].schema;
}
type HookBody = { content: { "application/json": { schema: object } } };

function contentOf(event: Event | undefined) {
  return event?.action.case === "chatMessage" ? event.action.value.content : undefined;
}

describe("the default ceiling", () => {
  test("refuses what is beyond it with 429 and the time to wait, item by item in a batch", async () => {
    await using door = await openTestDoor([headgate], { hookCeilingPerMinute: 12 }); // 2 at once
    const post = (body: string, path: string) => sendRaw(door.port, { path, headers: {}, body });
    door.addHook("headgate", TOKEN);
    const batch = await post(
      '[{"text":"a"},{"text":1},{"text":"b"},{"text":"c"}]',
      `${PATH}/batch`,
    );
    expect(JSON.parse(batch.body).data).toMatchObject([
      { id: expect.any(String) },
      { error: { status: 422 } },
      { id: expect.any(String) },
      { error: { status: 429, type: "/problems/hook_limited" } },
    ]);
    const refused = await post('{"text":"d"}', PATH);
    expect([refused.status, JSON.parse(refused.body).type]).toEqual([
      429,
      "/problems/hook_limited",
    ]);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(door.published).toHaveLength(2);
  });

  test("does not hold for a hook with limits of its own", async () => {
    await using door = await openTestDoor([headgate], { hookCeilingPerMinute: 6 });
    door.addHook("headgate", TOKEN, { limits: { perMinute: 600, burst: 100 } });
    for (let at = 0; at < 5; at++) {
      const answer = await sendRaw(door.port, { path: PATH, headers: {}, body: '{"text":"a"}' });
      expect(answer.status).toBe(202);
    }
  });
});

describe("one event", () => {
  test("answers 202 with the id of the event that was published", async () => {
    await using world = await open();
    const answer = await world.post({ text: "hello" });
    expect(answer.status).toBe(202);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(answer.body)).toEqual({
      id: world.door.published[0]?.id,
      status: "accepted",
    });
  });

  test("props are kept as the text that was sent, in a batch too", async () => {
    await using world = await open();
    const props = '{"id": 12345678901234567890,"far":1e400,"__proto__":{"a":1},"a":1,"a":2}';
    expect((await world.post(`{"text":"t","props":${props}}`)).status).toBe(202);
    expect((await world.post(`[{"props":${props},"text":"t"}]`, {}, `${PATH}/batch`)).status).toBe(
      207,
    );
    expect(world.door.published.map((event) => contentOf(event)?.propsJson)).toEqual([
      props,
      props,
    ]);
    const answer = await world.post(`{"text":"t","props":${props}}`, {}, `${PATH}?wait=readable`);
    expect([answer.status, answer.body.includes(`"props":${props}`)]).toEqual([201, true]);
  });

  test("a member __proto__ is refused by its name", async () => {
    await using world = await open();
    const answer = await world.post('{"text":"t","__proto__":{"title":"x"}}');
    expect(answer.status).toBe(422);
    expect(JSON.parse(answer.body).errors).toEqual([
      { pointer: "/__proto__", detail: "is not a member that is known here" },
    ]);
  });

  test("an event of too many values is refused before it is parsed", async () => {
    await using world = await open();
    const props = Array.from({ length: 20_000 }, (_, at) => `"${at}":1`).join(",");
    const answer = await world.post(`{"text":"t","props":{${props}}}`);
    expect([answer.status, answer.body]).toEqual([
      400,
      expect.stringContaining("/problems/json_too_many_values"),
    ]);
  });

  test("carries every member of the form into the event", async () => {
    await using world = await open({ overrideName: "Disk watch" });
    await world.post({
      text: "t",
      title: "T",
      severity: "critical",
      dedup_key: "disk",
      status: "resolved",
      fields: [{ name: "host", value: "db-3", short: true }],
      link: "https://example.org/a",
      props: { a: [1] },
      media: [],
    });
    const [event] = world.door.published;
    expect(contentOf(event)).toMatchObject({
      text: "t",
      title: "T",
      severity: Severity.CRITICAL,
      link: "https://example.org/a",
      fields: [{ name: "host", value: "db-3", short: true }],
      propsJson: '{"a":[1]}',
    });
    expect(event?.action.value).toMatchObject({
      channelId: world.door.channel.id,
      fold: { key: "disk", status: AlertStatus.RESOLVED },
    });
    expect(event?.author).toMatchObject({ id: world.door.bot.id, name: "Disk watch" });
  });

  test.each(accepted)("takes $about", async ({ headers, body }) => {
    await using world = await open();
    const answer = await world.post(body, headers);
    expect(answer.status).toBe(202);
    expect(world.door.published).toHaveLength(1);
  });

  test.each(refusals)(
    "refuses $about",
    async ({ headers, body, base64, status, reason, pointers }) => {
      await using world = await open();
      const answer = await world.post(base64 ? Buffer.from(base64, "base64") : body, headers);
      expect(answer.headers["content-type"]).toBe("application/problem+json");
      const problem = JSON.parse(answer.body) as Record<string, unknown>;
      expect(problem).toMatchObject({ type: `/problems/${reason}`, status });
      expect(answer.status).toBe(status);
      if (pointers) {
        const errors = problem.errors as { pointer: string }[];
        expect(errors.map(({ pointer }) => pointer).sort()).toEqual(pointers.toSorted());
      }
      expect(world.door.published).toEqual([]);
    },
  );

  test("takes what its schema in the OpenAPI document takes, and refuses what that refuses", async () => {
    await using world = await open();
    const isGood = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schemaOfHook());
    const link = (text: string) => ({ text: "a", link: text });
    const probes: [event: object, isTaken: boolean][] = [
      [link("https://[2001:db8::1]:8080/a"), true],
      [link("https://bücher.example/ä?ö#ü"), true],
      [link("https://user:pass@example.com/"), true],
      [link("HTTP://EXAMPLE.COM"), true],
      [link(`https://example.com/${"a".repeat(2_028)}`), true],
      [link(`https://example.com/${"a".repeat(2_029)}`), false],
      [link("https://exa mple.com/"), false],
      [link("https:///path"), false],
      [link("ftp://example.com/"), false],
      [link("https://example.com/\u0000"), false],
      [{ text: "a", props: { a: "\u0000", "\u0000": [{}] } }, true],
      [{ text: "a", props: { a: 1, __proto__x: null } }, true],
      [{ text: "a", props: [] }, false],
      [{ text: "a\u0000" }, false],
      [{ title: "a", media: [] }, true],
      [{ text: "a", media: [{ url: "https://example.com/a.png" }] }, false],
      [{ text: "a", fields: [{ name: "a", value: "b" }] }, true],
      [{ text: "a", fields: [{ name: "a", value: "" }] }, false],
      [{ severity: "ok" }, false],
      [{ text: "a", more: 1 }, false],
    ];
    for (const [event, isTaken] of probes) {
      const { status } = await world.post(event);
      expect([event, isGood(event), status]).toEqual([event, isTaken, isTaken ? 202 : 422]);
    }
  });

  test.each(["blocks", "attachments"])("names %s and who takes them", async (member) => {
    await using world = await open();
    const answer = await world.post({ text: "a", [member]: [] });
    const { errors } = JSON.parse(answer.body) as { errors: { pointer: string; detail: string }[] };
    expect(errors).toEqual([
      { pointer: `/${member}`, detail: expect.stringContaining("Mattermost hooks") },
    ]);
  });

  test("takes 10,000 code points and refuses one more", async () => {
    await using world = await open();
    expect((await world.post({ text: "😀".repeat(10_000) })).status).toBe(202);
    expect((await world.post({ text: "😀".repeat(10_001) })).status).toBe(422);
  });

  test("waits until the message can be read and answers 201 with it", async () => {
    await using world = await open();
    const answer = await world.post({ text: "hello", severity: "ok" }, {}, `${PATH}?wait=readable`);
    expect(answer.status).toBe(201);
    const id = world.door.published[0]?.id;
    expect(answer.headers.location).toBe(`/api/headgate/v1/messages/${id}`);
    expect(JSON.parse(answer.body)).toMatchObject({
      id,
      number: null,
      channel_id: world.door.channel.id,
      position: 1,
      text: "hello",
      title: null,
      severity: "ok",
      fields: [],
      attachments: [],
      media: [],
      author: { type: "bot", id: world.door.bot.id, name: "Bot", icon_url: null },
      hook_id: world.hook.id,
      dialect: "headgate",
      root_id: null,
      props: null,
      dedup_key: null,
      count: 1,
      first_at: null,
      last_at: null,
      edited_at: null,
    });
  });

  test("refuses a wait that it does not know", async () => {
    await using world = await open();
    expect((await world.post({ text: "a" }, {}, `${PATH}?wait=forever`)).status).toBe(400);
    expect(world.door.published).toEqual([]);
  });
});

describe("hooks that may not be used", () => {
  test.each([
    { state: HookState.DISABLED, status: 403, reason: "hook_disabled" },
    { state: HookState.REVOKED, status: 410, reason: "hook_revoked" },
  ])("answers $status for $reason", async ({ state, status, reason }) => {
    await using world = await open({ state });
    const answer = await world.post({ text: "a" });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ type: `/problems/${reason}` });
  });

  test("answers 410 once the channel is gone", async () => {
    await using world = await open({ targetId: "01900000-0000-7000-8000-000000000000" });
    expect((await world.post({ text: "a" })).status).toBe(410);
  });

  test.each([
    { about: "was deactivated", status: 410, reason: "owner_gone" },
    { about: "left the team", status: 403, reason: "owner_forbidden" },
    { about: "became a guest", status: 403, reason: "owner_forbidden" },
    { about: "left the private channel", status: 403, reason: "owner_forbidden" },
  ])("answers $status at once when the owner $about", async ({ about, status, reason }) => {
    await using world = await open();
    const { door } = world;
    const { owner, team, channel } = door;
    const role = about === "became a guest" ? TeamRole.GUEST : TeamRole.MEMBER;
    const isPrivate = about === "left the private channel";
    const membership = { channelId: channel.id, userId: owner.id };
    door.put({ case: "channel", value: { ...channel, isPrivate } });
    door.put({ case: "channelMember", value: membership });
    expect((await world.post({ text: "a" })).status).toBe(202);
    if (about === "was deactivated") {
      door.put({ case: "user", value: { ...owner, deactivatedAt: timestampFromMs(1) } });
    }
    if (about === "left the team") door.remove(`team_member:${team.id}:${owner.id}`);
    else door.put({ case: "teamMember", value: { teamId: team.id, userId: owner.id, role } });
    if (isPrivate) door.remove(`channel_member:${channel.id}:${owner.id}`);
    const answer = await world.post({ text: "b" });
    expect([answer.status, JSON.parse(answer.body).type]).toEqual([status, `/problems/${reason}`]);
    expect(door.published).toHaveLength(1);
  });

  test("limits unknown tokens of one source", async () => {
    await using world = await open();
    world.door.faults.admission = { decision: "limited", retryAfterMs: 30_000 };
    const answer = await world.post({ text: "a" }, {}, `/in/${OTHER}`);
    expect(answer.status).toBe(429);
    expect(answer.headers["retry-after"]).toBe("30");
  });
});

describe("limits of a hook", () => {
  const limits = { perMinute: 60, burst: 10 };

  test("shows what is left", async () => {
    await using world = await open({ limits });
    const { headers } = await world.post({ text: "a" });
    expect(headers["ratelimit-policy"]).toBe('"hook";q=10;w=10');
    expect(headers.ratelimit).toBe('"hook";r=9;t=1'); // the next token, not the full bucket
  });

  test("never says a time in RateLimit that is later than Retry-After", async () => {
    await using world = await open({ limits });
    world.door.faults.admission = {
      decision: "limited",
      retryAfterMs: 1001,
      budgets: [{ limit: 10, remaining: 0, resetMs: 10_000 }],
    };
    for (const [body, path] of [
      [{ text: "a" }, PATH],
      [[{ text: "a" }], `${PATH}/batch`],
    ] as const) {
      const { headers } = await world.post(body, {}, path);
      expect([headers["retry-after"], headers.ratelimit]).toEqual(["2", '"hook";r=0;t=2']);
    }
  });

  test("answers 429 with the time to wait and publishes nothing", async () => {
    await using world = await open({ limits });
    world.door.faults.admission = {
      decision: "limited",
      retryAfterMs: 1001,
      budgets: [{ limit: 10, remaining: 0, resetMs: 1001 }],
    };
    const { status, headers } = await world.post({ text: "a" });
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("2");
    expect(headers.ratelimit).toBe('"hook";r=0;t=2');
    expect(world.door.published).toEqual([]);
  });
});

describe("idempotency keys", () => {
  test("make the event's id and give the same answer again", async () => {
    await using world = await open();
    const first = await world.post({ text: "a" }, { "idempotency-key": '"k-1"' });
    const second = await world.post({ text: "a" }, { "idempotency-key": "k-1" });
    expect(JSON.parse(first.body)).toMatchObject({ id: world.door.published[0]?.id });
    expect(second).toMatchObject({ status: first.status, body: first.body });
    expect(first.headers["idempotency-replayed"]).toBeUndefined();
    expect(second.headers["idempotency-replayed"]).toBe("true");
    expect(world.door.published).toHaveLength(1);
  });

  test("refuse another body with 422", async () => {
    await using world = await open();
    await world.post({ text: "a" }, { "idempotency-key": "k" });
    const answer = await world.post({ text: "b" }, { "idempotency-key": "k" });
    expect(answer.status).toBe(422);
    expect(JSON.parse(answer.body)).toMatchObject({ type: "/problems/idempotency_key_reused" });
  });

  test("are forgotten when the request failed, so that a retry goes through", async () => {
    await using world = await open();
    world.door.faults.log = new AppError("unavailable", "log_unavailable", "away");
    expect((await world.post({ text: "a" }, { "idempotency-key": "k" })).status).toBe(503);
    world.door.faults.log = undefined;
    expect((await world.post({ text: "a" }, { "idempotency-key": "k" })).status).toBe(202);
  });

  test("make one id for an equal retry and another for another body, with nothing remembered", async () => {
    await using world = await open();
    world.door.faults.isLimiterAway = true;
    await world.post({ text: "a" }, { "idempotency-key": "k" });
    await world.post({ text: "a" }, { "idempotency-key": "k" });
    await world.post({ text: "b" }, { "idempotency-key": "k" });
    const [first, second, third] = world.door.published.map(({ id }) => id);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  test("of single events and batches never make the same id", async () => {
    await using world = await open();
    world.door.faults.isLimiterAway = true;
    const body = '{"text":"a"}';
    for (const key of ["k", "k/0", "k/1", "0:k"]) {
      await world.post(body, { "idempotency-key": key });
      const headers = { "idempotency-key": key, "content-type": "application/x-ndjson" };
      await world.post(`${body}\n${body}`, headers, `${PATH}/batch`);
      await world.post(body, headers, `${PATH}/batch`);
    }
    const ids = world.door.published.map(({ id }) => id);
    expect(ids).toHaveLength(16);
    expect(new Set(ids).size).toBe(16);
  });

  test("keep some bytes and no answer: a replay that waits reads the message again", async () => {
    await using world = await open();
    const path = `${PATH}?wait=readable`;
    const first = await world.post({ text: "a".repeat(9_000) }, { "idempotency-key": "k" }, path);
    expect(first.status).toBe(201);
    expect(world.door.answers.map(({ length }) => length)).toEqual([1]);
    const again = await world.post({ text: "a".repeat(9_000) }, { "idempotency-key": "k" }, path);
    expect([again.status, again.headers["idempotency-replayed"]]).toEqual([202, "true"]); // chat is not there
    expect(world.door.published).toHaveLength(1);
  });

  test("name the event where Kafka did not say whether it has it, and make it again on a retry", async () => {
    await using world = await open();
    world.door.faults.log = new AppError("unavailable", "log_unsure", "Not acknowledged.");
    const answer = await world.post({ text: "a" }, { "idempotency-key": "k" });
    const problem = JSON.parse(answer.body) as { event_ids: string[]; detail: string };
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(problem).toMatchObject({ type: "/problems/log_unsure", status: 503 });
    expect(problem.detail).toContain("GET /api/headgate/v1/messages/");
    world.door.faults.log = undefined;
    const retry = await world.post({ text: "a" }, { "idempotency-key": "k" });
    expect(JSON.parse(retry.body)).toMatchObject({ id: problem.event_ids[0] });
  });

  test.each(['""', '"a', 'a"b', "a b", "\u00e9", `"${"x".repeat(256)}"`, "x".repeat(256)])(
    "refuse %s as malformed",
    async (key) => {
      await using world = await open();
      expect((await world.post({ text: "a" }, { "idempotency-key": key })).status).toBe(400);
    },
  );
});

describe("batches", () => {
  const BATCH = `${PATH}/batch`;

  test("answer one result per item, in order, and keep the good ones", async () => {
    await using world = await open();
    const answer = await world.post([{ text: "a" }, { text: "" }, { title: "b" }], {}, BATCH);
    expect(answer.status).toBe(207);
    const [first, second] = world.door.published;
    expect(JSON.parse(answer.body)).toEqual({
      data: [
        { index: 0, id: first?.id },
        {
          index: 1,
          error: {
            type: "/problems/event_invalid",
            title: "Unprocessable Entity",
            status: 422,
            detail: "The event has faults.",
            errors: [{ pointer: "/text", detail: "must not be empty" }],
          },
        },
        { index: 2, id: second?.id },
      ],
    });
  });

  test("take lines of JSON, one malformed line harming only itself", async () => {
    await using world = await open();
    const body = '{"text":"a"}\r\n\n{"text":\n{"text":"c"}';
    const answer = await world.post(body, { "content-type": "application/x-ndjson" }, BATCH);
    const { data } = JSON.parse(answer.body) as {
      data: { id?: string; error?: { status: number } }[];
    };
    expect(data.map(({ id, error }) => error?.status ?? typeof id)).toEqual([
      "string",
      400,
      "string",
    ]);
  });

  test("give the same answer again under a key, of 125 bytes kept, bad items included", async () => {
    await using world = await open();
    const headers = { "idempotency-key": "k" };
    const events = Array.from({ length: 1000 }, (_, at) => ({ text: at % 3 === 0 ? "" : "a" }));
    const first = await world.post(events, headers, BATCH);
    const second = await world.post(events, headers, BATCH);
    expect(second.body).toBe(first.body);
    expect(world.door.answers.map(({ length }) => length)).toEqual([125]);
    expect(world.door.published).toHaveLength(666);
  });

  test("keep nothing of a batch without a good event", async () => {
    await using world = await open();
    const bad = Array.from({ length: 330 }, () => ({}));
    expect((await world.post(bad, { "idempotency-key": "k" }, BATCH)).status).toBe(207);
    expect(world.door.answers.map(({ length }) => length)).toEqual([0]);
  });

  test("keep no refusal for the limit under a key: the same request goes through when there is room", async () => {
    await using world = await open({ limits: { perMinute: 60, burst: 10 } });
    const headers = { "idempotency-key": "k" };
    const events = [{ text: "a" }, { text: "b" }, { text: "c" }];
    world.door.faults.room = 0;
    const refused = await world.post(events, headers, BATCH);
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "2"]);
    world.door.faults.room = 1;
    const partly = await world.post(events, headers, BATCH);
    const { data } = JSON.parse(partly.body) as { data: { id?: string; error?: object }[] };
    expect(partly.status).toBe(207);
    expect(data[1]?.error).toMatchObject({ status: 429, retry_after_seconds: 2 });
    world.door.faults.room = undefined;
    const whole = await world.post(events, headers, BATCH);
    expect(whole.headers["idempotency-replayed"]).toBeUndefined();
    const ids = (JSON.parse(whole.body) as { data: { id: string }[] }).data.map(({ id }) => id);
    expect(ids[0]).toBe(data[0]?.id);
    expect(new Set(world.door.published.map(({ id }) => id))).toEqual(new Set(ids));
  });

  test("refuse an event that is too large to be stored, and take the others", async () => {
    await using world = await open();
    const answer = await world.post(
      [{ text: "a", props: { a: "x".repeat(300_000) } }, { text: "b" }],
      {},
      BATCH,
    );
    const { data } = JSON.parse(answer.body) as { data: { error?: object }[] };
    expect(data[0]?.error).toMatchObject({ type: "/problems/event_too_large", status: 413 });
    expect(world.door.published.map((event) => contentOf(event)?.text)).toEqual(["b"]);
    const single = await world.post({ text: "a", props: { a: "x".repeat(262_080) } });
    expect([single.status, JSON.parse(single.body).type]).toEqual([
      413,
      "/problems/event_too_large",
    ]);
  });

  test("refuse to wait, by name", async () => {
    await using world = await open();
    const answer = await world.post([{ text: "a" }], {}, `${BATCH}?wait=readable`);
    expect([answer.status, JSON.parse(answer.body).type]).toEqual([400, "/problems/query_invalid"]);
    expect(world.door.published).toEqual([]);
  });

  test("name all their events where Kafka did not say whether it has them", async () => {
    await using world = await open();
    world.door.faults.log = new AppError("unavailable", "log_unsure", "Not acknowledged.");
    const answer = await world.post([{ text: "a" }, { text: "" }, { text: "b" }], {}, BATCH);
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body).event_ids).toHaveLength(2);
  });

  test("name the ids of a keyed batch by key and index", async () => {
    await using world = await open();
    const headers = { "idempotency-key": "k" };
    const first = await world.post([{ text: "a" }, { text: "b" }], headers, BATCH);
    const second = await world.post([{ text: "a" }, { text: "b" }], headers, BATCH);
    expect(JSON.parse(first.body)).toEqual({
      data: world.door.published.map(({ id }, index) => ({ index, id })),
    });
    expect(second.body).toBe(first.body);
    expect(second.headers["idempotency-replayed"]).toBe("true");
  });

  test.each([
    { about: "an empty array", body: "[]", status: 422 },
    { about: "no lines", body: "", status: 422 },
    { about: "1,001 events", body: JSON.stringify(Array(1001).fill({ text: "a" })), status: 422 },
    { about: "a malformed array", body: '[{"text":"a"}', status: 400 },
    { about: "more than 1 MiB", body: `[${" ".repeat(1024 * 1024)}]`, status: 413 },
  ])("refuse $about as a whole", async ({ body, status }) => {
    await using world = await open();
    expect((await world.post(body, {}, BATCH)).status).toBe(status);
    expect(world.door.published).toEqual([]);
  });

  test("take 1,000 events", async () => {
    await using world = await open();
    const events = Array.from({ length: 1000 }, (_, at) => ({ text: `${at}` }));
    expect((await world.post(events, {}, BATCH)).status).toBe(207);
    expect(world.door.published.map((event) => contentOf(event)?.text)).toEqual(
      events.map(({ text }) => text),
    );
  });

  test("the largest ones hold the event loop for a fraction of the time that parsing 1 MiB takes", async () => {
    await using world = await open();
    const fields = Array.from({ length: 40 }, (_, at) => ({ name: `n${at}`, value: "v" }));
    const event = { text: "a", props: { list: Array(60).fill(1) }, fields };
    const count = Math.floor(1_000_000 / JSON.stringify(event).length);
    const body = JSON.stringify(Array(count).fill(event));
    const send = async () => expect((await world.post(body, {}, BATCH)).status).toBe(207);
    expect((await measureHold(send)) / measureParse()).toBeLessThan(0.5);
  });

  test.each([
    ['[{"text":"a"},{"text":]', 400],
    ['[{"text":"a"}}', 400],
    ['[{"text":"a"}] x', 400],
    ['[{"text":"a"},]', 400],
    [`[${"{".repeat(40)}]`, 400],
  ])("refuse %s as a whole: it is no JSON", async (body, status) => {
    await using world = await open();
    expect((await world.post(body, {}, BATCH)).status).toBe(status);
    expect(world.door.published).toEqual([]);
  });

  test("answer 429 when the budget let none through", async () => {
    await using world = await open({ limits: { perMinute: 60, burst: 10 } });
    world.door.faults.admission = { decision: "limited", retryAfterMs: 1000 };
    expect((await world.post([{ text: "a" }], {}, BATCH)).status).toBe(429);
  });

  test("answer 503 as a whole while the log is away", async () => {
    await using world = await open();
    world.door.faults.log = new AppError("unavailable", "log_full", "full");
    expect((await world.post([{ text: "a" }], {}, BATCH)).status).toBe(503);
  });
});
