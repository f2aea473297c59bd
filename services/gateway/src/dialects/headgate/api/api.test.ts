import { connect } from "node:net";
import { AppError } from "@headgate/kit/errors";
import { createId, isUuid } from "@headgate/kit/ids";
import { HookAction, HookState } from "@headgate/proto/registry/v1/registry";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { measureHold, measureParse } from "../../../testing/loop-hold.ts";
import { messageOf, openApi, TOKEN, unknown } from "./fake-api.ts";

const at = { seconds: 1_700_000_000n, nanos: 5_000_000 };

describe("who asks", () => {
  test("nobody is answered 401, one answer for every token that is not good", async () => {
    await using api = await openApi();
    for (const token of [undefined, "nonsense", `hg_${"b".repeat(43)}`]) {
      const answer = await api.send("/me", { token });
      expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    }
    expect((await api.send("/me")).json).toMatchObject({ id: api.user.id, csrf_token: null });
  });

  test("the session cookie reads alone, and writes with its CSRF token only", async () => {
    await using api = await openApi({ archiveChannel: () => ({}) });
    const login = await api.send("/sessions", {
      token: undefined,
      body: { name: "ada", password: "right-password" },
    });
    expect(login.status).toBe(201);
    expect(login.headers.get("set-cookie")).toMatch(
      /^headgate_session=hg_.*HttpOnly; SameSite=Lax/,
    );
    const cookie = login.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
    const me = await api.send("/me", { token: undefined, headers: { cookie } });
    expect(me.json.csrf_token).toBe(login.json.csrf_token);
    const path = `/channels/${api.channel.id}`;
    const write = { method: "DELETE", token: undefined };
    expect((await api.send(path, { ...write, headers: { cookie } })).status).toBe(403);
    const headers = { cookie, "x-csrf-token": login.json.csrf_token };
    expect((await api.send(path, { ...write, headers })).status).toBe(204);
  });

  test("a wrong password is 401, too many log-ins are 429 with the time to wait", async () => {
    await using api = await openApi();
    const body = { name: "ada", password: "wrong-password" };
    expect((await api.send("/sessions", { body, token: undefined })).status).toBe(401);
    api.world.admission = { decision: "limited", retryAfterMs: 2_100 };
    const limited = await api.send("/sessions", { body, token: undefined });
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "3"]);
  });

  test("a log-in needs JSON by name and no page of another site, so that none can log its visitors in", async () => {
    await using api = await openApi();
    const body = { name: "ada", password: "right-password" };
    const logIn = async (headers: Record<string, string>) => {
      const { status, headers: got } = await api.send("/sessions", {
        token: undefined,
        body: Buffer.from(JSON.stringify(body)),
        headers,
      });
      return [status, got.has("set-cookie")];
    };
    const own = new URL(api.url).origin;
    const json = { "content-type": "application/json" };
    expect(await logIn({ "content-type": "" })).toEqual([415, false]);
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:1", ""]) {
      expect([origin, ...(await logIn({ ...json, origin }))]).toEqual([origin, 403, false]);
    }
    for (const origin of [own, "http://headgate.example"]) {
      expect([origin, ...(await logIn({ ...json, origin }))]).toEqual([origin, 201, true]);
    }
  });

  test("log-ins of one IPv6 network share one budget", async () => {
    await using api = await openApi();
    api.world.source = "2001:db8:1:2:3:4:5:6";
    const body = { name: "ada", password: "right-password" };
    await api.send("/sessions", { body, token: undefined });
    expect(api.world.budgets).toContain("login:source:2001:db8:1:2:/64");
  });

  test("a service that does not answer in time is 503 with Retry-After", async () => {
    await using api = await openApi({
      listChannels: () => {
        throw new AppError("deadline_exceeded", "peer_timeout", "Late.");
      },
    });
    for (const path of ["/channels", "/stream"]) {
      const answer = await api.send(path);
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    }
  });

  test("logging out empties the cookie", async () => {
    await using api = await openApi();
    const answer = await api.send("/sessions/current", { method: "DELETE" });
    expect([answer.status, answer.headers.get("set-cookie")]).toEqual([
      204,
      expect.stringContaining("Expires=Thu, 01 Jan 1970"),
    ]);
  });
});

describe("what is refused", () => {
  test("all faults of a body are told at once, unknown members too", async () => {
    await using api = await openApi();
    const answer = await api.send("/channels", {
      body: { team_id: "x", name: "Not A Handle", display_nmae: "typo", is_private: "yes" },
    });
    expect(answer.status).toBe(422);
    const pointers = answer.json.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect(new Set(pointers)).toEqual(
      new Set(["/team_id", "/name", "/display_nmae", "/is_private"]),
    );
    expect(api.asked).toEqual([]);
  });

  test("a log-in of more than 4 KiB is refused unread", async () => {
    await using api = await openApi();
    const body = { name: "ada", password: "x".repeat(4 * 1024) };
    const answer = await api.send("/sessions", { token: undefined, body });
    expect([answer.status, answer.json.type]).toEqual([413, "/problems/body_too_large"]);
  });

  test("80,000 unknown members hold the event loop for no more than parsing them would", async () => {
    await using api = await openApi();
    const members = Array.from({ length: 80_000 }, (_, at) => [`m${at}`, 1]);
    const body = JSON.stringify(Object.fromEntries(members));
    const headers = { "content-type": "application/json" };
    const path = `/channels/${api.channel.id}/messages`;
    const send = async () => {
      const answer = await api.send(path, { method: "POST", body, headers });
      expect(answer.status).toBe(400);
    };
    expect((await measureHold(send)) / measureParse()).toBeLessThan(1.5);
  });

  test("of a body with many values the first fault is named, of one with few all", async () => {
    await using api = await openApi();
    const path = `/channels/${api.channel.id}/messages`;
    const send = async (count: number) => {
      const members = Array.from({ length: count }, (_, at) => [`m${at}`, 1]);
      const body = { text: "t", ...Object.fromEntries(members) };
      return (await api.send(path, { body })).json.errors.length;
    };
    expect([await send(50), await send(5_000)]).toEqual([50, 1]);
  });

  test("bodies that an account holds open have its share of the room, and no more", async () => {
    await using api = await openApi();
    const path = `/api/headgate/v1/channels/${api.channel.id}/messages`;
    const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: 1048576\r\n\r\n`;
    const seen = Array.from({ length: 20 }, () => {
      const socket = connect(Number(new URL(api.url).port), "127.0.0.1");
      onTestFinished(() => void socket.destroy());
      socket.on("error", () => {});
      socket.write(head + " ".repeat(1_048_575));
      const answer = { text: "" };
      socket.on("data", (chunk) => {
        answer.text += chunk;
      });
      return answer;
    });
    const refused = () => seen.filter(({ text }) => text !== "");
    await vi.waitFor(() => expect(refused().length).toBeGreaterThanOrEqual(4), { timeout: 30_000 });
    for (const { text } of refused()) {
      expect(text).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 1[\s\S]*overloaded/i);
    }
  });

  test("a body of more values than are taken is 400", async () => {
    await using api = await openApi();
    const props = Array.from({ length: 20_000 }, () => 1);
    const body = { text: "t", props: { list: props } };
    const answer = await api.send(`/channels/${api.channel.id}/messages`, { body });
    expect([answer.status, answer.json.type]).toEqual([400, "/problems/json_too_many_values"]);
  });

  test("faults that the registry finds are faults of the body", async () => {
    const faults = [{ pointer: "/team_id", detail: "there is no such team" }];
    await using api = await openApi({
      createChannel: () => {
        throw new AppError("invalid_argument", "fields_invalid", "No.", { faults });
      },
    });
    const answer = await api.send("/channels", { body: { team_id: createId(), name: "x" } });
    expect([answer.status, answer.json.errors]).toEqual([422, faults]);
  });

  test.each([
    ["malformed JSON", "{", {}, 400],
    ["half a surrogate pair", '{"name":"\\ud800"}', {}, 400],
    ["U+0000", '{"team_id":"x","name":"x","display_name":"a\\u0000"}', {}, 422],
    ["a type that is not JSON", "{}", { "content-type": "text/plain" }, 415],
    ["a coded body", "{}", { "content-encoding": "gzip" }, 415],
    ["more than 1 MiB", Buffer.alloc(1024 * 1024 + 1, 0x20), {}, 413],
    ["an array", "[]", {}, 422],
    ["nothing", "", {}, 400],
  ])("%s is refused", async (_what, body, headers, status) => {
    await using api = await openApi();
    const answer = await api.send("/channels", { body, headers, method: "POST" });
    expect(answer.status).toBe(status);
  });

  test("another method is 405 with what is allowed, another path 404", async () => {
    await using api = await openApi();
    for (const method of ["PUT", "OPTIONS", "POST"]) {
      const answer = await api.send(`/channels/${createId()}`, { method });
      expect([answer.status, answer.headers.get("allow")]).toEqual([
        405,
        "GET, HEAD, PATCH, DELETE",
      ]);
    }
    for (const path of ["/nope", "/Channels", "/channels/"]) {
      expect((await api.send(path)).status).toBe(404);
    }
    expect((await fetch(`${api.url}/channels/%ZZ`)).status).toBe(400);
  });

  test("what is no id is missing in the very words of a missing thing", async () => {
    await using api = await openApi({
      getUser: () => {
        throw unknown("user");
      },
    });
    const missing = await api.send(`/users/${createId()}`);
    for (const path of ["/users/x", "/users/1", `/users/${createId().toUpperCase()}`]) {
      const answer = await api.send(path);
      expect([answer.status, answer.json]).toEqual([404, missing.json]);
    }
    expect((await api.send("/bots/x")).json).toEqual((await api.send(`/bots/${createId()}`)).json);
  });

  test("the largest place that a page can name is one", async () => {
    await using api = await openApi({ getChannel: () => ({ channel: api.channel }) });
    const path = `/channels/${api.channel.id}/messages`;
    expect((await api.send(`${path}?after=${Number.MAX_SAFE_INTEGER}`)).status).toBe(200);
    expect((await api.send(`${path}?after=${Number.MAX_SAFE_INTEGER + 1}`)).status).toBe(400);
  });

  test.each(["limit=0", "limit=201", "limit=x", "befor=1", "after=x", "limit=1&limit=2", "limit="])(
    "the query %s is a fault",
    async (query) => {
      await using api = await openApi();
      const answer = await api.send(`/teams?${query}`);
      expect([answer.status, answer.json.errors.length]).toEqual([400, 1]);
    },
  );

  test("a registry that is away is 503 with the time to wait; a bug keeps its words", async () => {
    await using api = await openApi({
      listTeams: () => {
        throw new AppError("unavailable", "peer_unavailable", "registry is not available.");
      },
      listUsers: () => {
        throw new TypeError("secret detail");
      },
    });
    const away = await api.send("/teams");
    expect([away.status, away.headers.get("retry-after")]).toEqual([503, "1"]);
    const bug = await api.send("/users");
    expect(bug.status).toBe(500);
    expect(JSON.stringify(bug.json)).not.toContain("secret detail");
    expect(api.lines.join()).toContain("secret detail");
  });
});

describe("lists", () => {
  const team = (position: bigint) => ({ id: createId(), name: "t", createdAt: at, position });

  test("backward: next is there while pages are full, and ends", async () => {
    await using api = await openApi({ listTeams: () => ({ teams: [9n, 7n].map(team) }) });
    expect((await api.send("/teams?limit=2")).json.next).toBe(7);
    expect((await api.send("/teams?limit=2&before=12")).json.next).toBe(7);
    const last = await api.send("/teams?limit=3");
    expect([last.json.data.length, last.json.next]).toEqual([2, null]);
  });

  test("forward: next is always there, so that a poller can come back", async () => {
    await using api = await openApi({ listTeams: () => ({ teams: [] }) });
    expect((await api.send("/teams?after=0")).json).toEqual({ data: [], next: 0 });
    expect((await api.send("/teams?after=12")).json.next).toBe(12);
    expect(api.asked.map(({ request }) => (request as { page: object }).page)).toEqual([
      { limit: 50, bound: { case: "after", value: 0n } },
      { limit: 50, bound: { case: "after", value: 12n } },
    ]);
  });

  test("messages go by position, and a short page is no end", async () => {
    await using api = await openApi();
    const path = `/channels/${api.channel.id}/messages`;
    api.world.messages = [messageOf({ position: 9n }), messageOf({ position: 7n })];
    expect((await api.send(path)).json.next).toBe(7);
    api.world.messages = [messageOf({ position: 1n })];
    expect((await api.send(`${path}?before=7`)).json.next).toBeNull();
    api.world.messages = [];
    expect((await api.send(`${path}?before=3`)).json.next).toBeNull();
    expect((await api.send(`${path}?after=12`)).json).toEqual({ data: [], next: 12 });
  });
});

describe("creates", () => {
  const hookOf = (init: object = {}) => ({
    id: createId(),
    teamId: createId(),
    ownerId: createId(),
    targetId: createId(),
    dialect: "headgate",
    action: HookAction.CHAT_MESSAGE,
    state: HookState.ACTIVE,
    createdAt: at,
    ...init,
  });
  const draft = () => ({
    dialect: "headgate",
    action: "chat_message",
    target: { channel_id: createId() },
    name: "x",
    limits: { per_minute: 60, burst: 5 },
  });

  test("a hook's url and token are in the answer of its create, and in no other", async () => {
    const hook = hookOf();
    await using api = await openApi({
      createIncomingHook: () => ({ hook, credential: "hgi_secret" }),
      getIncomingHook: () => ({ hook }),
      listIncomingHooks: () => ({ hooks: [hook] }),
    });
    const made = await api.send("/incoming-hooks", { body: draft() });
    expect(made.json).toMatchObject({
      url: "http://headgate.example/headgate/hgi_secret",
      token: "hgi_secret",
      target: { channel_id: hook.targetId, user_id: null },
      state: "active",
      created_at: "2023-11-14T22:13:20.005Z",
    });
    expect(made.headers.get("location")).toBe(`/api/headgate/v1/incoming-hooks/${hook.id}`);
    for (const path of ["/incoming-hooks", `/incoming-hooks/${hook.id}`]) {
      expect(JSON.stringify((await api.send(path)).json)).not.toContain("secret");
    }
  });

  test("a body without members names every one that is missing", async () => {
    await using api = await openApi();
    const answer = await api.send("/incoming-hooks", { body: {} });
    const pointers = answer.json.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect([answer.status, pointers.sort()]).toEqual([
      422,
      ["/action", "/dialect", "/name", "/target"],
    ]);
  });

  test("a rotation keeps the old credential for an hour unless told otherwise", async () => {
    const hook = hookOf();
    await using api = await openApi({
      rotateIncomingHook: () => ({ hook, credential: "hgi_secret" }),
    });
    const path = `/incoming-hooks/${hook.id}/rotate`;
    for (const body of [{}, { grace_seconds: 0 }]) await api.send(path, { body });
    const asked = api.asked.map(
      ({ request }) => (request as { graceSeconds: number }).graceSeconds,
    );
    expect(asked).toEqual([3_600, 0]);
  });

  test.each([
    [{ name: undefined }, "/name"],
    [{ name: "" }, "/name"],
    [{ dialect: "mattermost", name: undefined }, undefined],
    [{ dialect: "slack" }, "/dialect"],
    [{ action: "wall_post" }, "/action"],
    [{ action: "direct_message" }, "/action"],
    [{ owner_writes: true, bot_id: createId() }, "/bot_id"],
    [{ owner_writes: true, bot_id: null }, undefined],
  ])("the contract itself judges a hook with %j", async (change, pointer) => {
    await using api = await openApi({ createIncomingHook: () => ({ hook: hookOf() }) });
    const { status, json } = await api.send("/incoming-hooks", { body: { ...draft(), ...change } });
    expect([status, json.errors?.map((fault: { pointer: string }) => fault.pointer)]).toEqual(
      pointer === undefined ? [201, undefined] : [422, [pointer]],
    );
  });

  test("a key fixes the id; its replay says so and shows no secret; another body is 422", async () => {
    const hook = hookOf();
    let existed = false;
    await using api = await openApi({
      createIncomingHook: () => ({ hook, existed, credential: existed ? "" : "hgi_secret" }),
    });
    const headers = { "idempotency-key": '"k"' };
    const body = draft();
    expect((await api.send("/incoming-hooks", { body, headers })).json.token).toBe("hgi_secret");
    existed = true;
    const replay = await api.send("/incoming-hooks", { body, headers: { "idempotency-key": "k" } });
    expect([replay.status, replay.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect([replay.json.token, replay.json.url]).toEqual([null, null]);
    const [first, second] = api.asked.map(({ request }) => (request as { id: string }).id);
    expect(first).toBe(second);
    expect(isUuid(first ?? "")).toBe(true);
    expect((await api.send("/incoming-hooks", { body: draft(), headers })).status).toBe(422);
  });

  test("a rotation is not done twice for one key", async () => {
    const hook = hookOf();
    await using api = await openApi({
      rotateIncomingHook: () => ({ hook, credential: "hgi_secret" }),
      getIncomingHook: () => ({ hook }),
    });
    const sent = { body: { grace_seconds: 60 }, headers: { "idempotency-key": "k" } };
    const path = `/incoming-hooks/${hook.id}/rotate`;
    expect((await api.send(path, sent)).json.token).toBe("hgi_secret");
    expect((await api.send(path, sent)).json.token).toBeNull();
    expect(api.asked.filter(({ method }) => method === "rotateIncomingHook")).toHaveLength(1);
  });

  test("an update passes on what was given and nothing else", async () => {
    const hook = hookOf();
    await using api = await openApi({
      updateIncomingHook: () => ({ hook }),
      getIncomingHook: () => ({ hook }),
    });
    const path = `/incoming-hooks/${hook.id}`;
    await api.send(path, { method: "PATCH", body: { name: "", limits: null } });
    const { request } = api.asked.at(-1) ?? {};
    expect(request).toMatchObject({ name: "", clearLimits: true });
    expect(request).toMatchObject({ description: undefined, targetId: undefined });
  });
});

describe("messages", () => {
  test("a message is an event of its writer; 201 when it can be read, 202 when not yet", async () => {
    await using api = await openApi();
    const path = `/channels/${api.channel.id}/messages`;
    const answer = await api.send(path, { body: { text: "hi", severity: "warning" } });
    const [event] = api.accepted;
    expect([answer.status, answer.json.id]).toEqual([201, event?.id]);
    expect(answer.headers.get("location")).toBe(`/api/headgate/v1/messages/${event?.id}`);
    expect(event?.author).toMatchObject({ id: api.user.id, name: "Ada" });
    api.world.isReadable = false;
    const later = await api.send(path, { body: { text: "hi" } });
    expect([later.status, later.json.status]).toEqual([202, "accepted"]);
  });

  test("a reply needs a root message of the channel", async () => {
    await using api = await openApi();
    const root = messageOf({ channelId: api.channel.id });
    const reply = messageOf({ channelId: api.channel.id, rootId: root.id });
    const elsewhere = messageOf();
    api.world.messages = [root, reply, elsewhere];
    const path = `/channels/${api.channel.id}/messages`;
    const statusOf = async (id: string) =>
      (await api.send(path, { body: { text: "x", root_id: id } })).status;
    expect(await statusOf(root.id)).toBe(201);
    expect(await statusOf(reply.id)).toBe(422);
    expect(await statusOf(elsewhere.id)).toBe(422);
    expect(await statusOf(createId())).toBe(422);
  });

  test("a channel or message that may not be read is as missing as one that is not there", async () => {
    await using api = await openApi();
    const hidden = messageOf();
    api.world.messages = [hidden];
    const missing = await api.send(`/messages/${createId()}`);
    expect((await api.send(`/messages/${hidden.id}`)).json).toEqual(missing.json);
    expect((await api.send(`/messages/${hidden.id}/replies`)).json).toEqual(missing.json);
    expect((await api.send(`/channels/${createId()}/messages`)).status).toBe(404);
  });

  test("a replayed write is one event", async () => {
    await using api = await openApi();
    const sent = { body: { text: "hi" }, headers: { "idempotency-key": "k" } };
    const path = `/channels/${api.channel.id}/messages`;
    await api.send(path, sent);
    const replay = await api.send(path, sent);
    expect(replay.headers.get("idempotency-replayed")).toBe("true");
    expect(new Set(api.accepted.map(({ id }) => id)).size).toBe(1);
  });
});

test("the status page shows parts and lag", async () => {
  await using api = await openApi();
  expect((await api.send("/status")).json).toMatchObject({
    status: "ok",
    groups: [{ group: "chat", topic: "chat.requested.v1", lag: 2, lag_seconds: 0.5 }],
  });
});

test("a token is in no log line", async () => {
  await using api = await openApi();
  await api.send("/users");
  expect(api.lines.join()).not.toContain(TOKEN);
});

test("what was made is found at its Location, below the path of the public URL", async () => {
  const channel = { id: createId(), teamId: createId(), name: "x" };
  const managed = { createChannel: () => ({ channel }) };
  await using api = await openApi(managed, {}, "https://example.org/hooks");
  const { headers } = await api.send("/channels", { body: { team_id: createId(), name: "x" } });
  expect(headers.get("location")).toBe(`/hooks/api/headgate/v1/channels/${channel.id}`);
});
