/** `npm start` after people have tidied up: it comes up, and says in one line each what is not as it was. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Demo } from "@headgate/local/demo";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { eventually } from "../support/eventually.ts";
import { npmStart } from "../support/npm-start.ts";
import { findPort } from "../support/ports.ts";

/** More than the rows of one page of any list. */
const CROWD = 201;
/** Requests that make the crowd at the same time. */
const HANDS = 8;
const READY_TIMEOUT_MS = 150_000;
/** Up to four starts in one test, each of which a busy machine makes long. */
vi.setConfig({ testTimeout: 900_000 });
const NEW_PASSWORD = "another-Pass-phrase-7";

let dataDir = "";
let port = 0;
/** Where the front door listens. */
let host = "127.0.0.1";

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "headgate-start-"));
  port = await findPort();
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** Runs `npm start` until it is ready, does something, and stops it by SIGTERM. Returns all that it printed. */
async function withSystem(work: () => Promise<void>, args: string[] = []): Promise<string> {
  const settings = { HEADGATE_DATA: dataDir, HEADGATE_PORT: String(port), HEADGATE_HOST: host };
  const start = npmStart(settings, args);
  try {
    const isReady = () => start.isOver() || /^ready http/m.test(start.output());
    await eventually(isReady, { timeoutMs: READY_TIMEOUT_MS });
    expect(start.output()).toMatch(/^ready http/m);
    await work();
  } finally {
    start.kill("SIGTERM");
    await start.ended;
  }
  expect(await start.ended, start.output()).toBe(0);
  return start.output();
}

async function readDemo(): Promise<Demo> {
  return JSON.parse(await readFile(join(dataDir, "demo.json"), "utf8"));
}

async function ask(
  method: string,
  path: string,
  token: string | undefined,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(`http://${host}:${port}/api/headgate/v1${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : {} };
}

/** Asks for something that must succeed. */
async function act(method: string, path: string, token: string, body?: object) {
  const answer = await ask(method, path, token, body);
  expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer.body;
}

/** Makes many of something, a few at a time. */
async function crowd(path: string, token: string, form: (name: string) => object): Promise<void> {
  const names = Array.from({ length: CROWD }, (_, number) => `crowd-${number}`);
  const hands = Array.from({ length: HANDS }, async () => {
    for (let name = names.pop(); name; name = names.pop()) {
      await act("POST", path, token, form(name));
    }
  });
  await Promise.all(hands);
}

/** The status of an event that is sent to the demo's native hook. */
async function send(demo: Demo): Promise<number> {
  const answer = await fetch(demo.hooks.headgate, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"text":"still here"}',
    signal: AbortSignal.timeout(60_000),
  });
  await answer.text();
  return answer.status;
}

test("the first start makes the demo, says where things are, and how to send and to read", async () => {
  const output = await withSystem(async () => {
    const demo = await readDemo();
    expect(await send(demo)).toBe(202);
    expect((await ask("GET", "/me", demo.person.token)).body.id).toBe(demo.person.id);
  });
  const { admin, channel, hooks, person } = await readDemo();
  expect(output).toContain(`password ${admin.password}`);
  expect(output).toContain(join(dataDir, "demo.json"));
  expect(output).toContain(join(dataDir, "logs"));
  expect(output).toContain(hooks.headgate);
  expect(output).toContain(`/channels/${channel.id}/messages`);
  expect(output).toMatch(/gateway http:\/\/127\.0\.0\.1:\d+/);
  expect(output).not.toContain(person.token);
  expect(output).not.toContain(admin.token);
  expect(output).not.toMatch(/^note /m);
});

test("200 channels, teams and people later, without demo.json, it finds the demo by name", async () => {
  const before = await readDemo();
  await withSystem(async () => {
    const { token } = before.admin;
    await crowd("/channels", before.person.token, (name) => ({ name, team_id: before.team.id }));
    await crowd("/teams", token, (name) => ({ name }));
    await crowd("/users", token, (name) => ({ name, team_id: before.team.id }));
    await act("DELETE", `/incoming-hooks/${await hookId("mattermost")}`, token);
    await act("POST", `/incoming-hooks/${await hookId("monotree")}/disable`, token);
  });

  const known = await withSystem(async () => {
    const demo = await readDemo();
    expect(demo).toMatchObject({ team: before.team, channel: before.channel });
    expect(demo.person).toEqual(before.person);
    expect(demo.hooks.headgate).toBe(before.hooks.headgate);
    expect(await send(demo)).toBe(202);
  });
  expect(known).toMatch(/^note .*mattermost hook was deleted: a new one was made$/m);
  expect(known).toMatch(/^note .*monotree hook is disabled: a new one was made$/m);

  await writeFile(join(dataDir, "demo.json"), '{"team": 5, "hooks": [');
  const found = await withSystem(async () => {
    const demo = await readDemo();
    expect(demo).toMatchObject({ team: before.team, channel: before.channel });
    expect(demo.person.id).toBe(before.person.id);
    expect(await send(demo)).toBe(202);
  });
  expect(found).toMatch(/^note .*demo\.json was missing or damaged/m);
});

test("an archived channel, a deactivated person and a revoked token stay so, and are named", async () => {
  const before = await readDemo();
  await withSystem(async () => {
    const { token } = before.admin;
    await act("PATCH", `/teams/${before.team.id}`, token, { display_name: "Renamed" });
    await act("DELETE", `/channels/${before.channel.id}`, token);
    await act("DELETE", `/users/${before.person.id}`, token);
    await revokeOwn(token);
  });
  const output = await withSystem(async () => {
    const demo = await readDemo();
    expect(demo.team).toEqual(before.team);
    expect(demo.channel).toEqual(before.channel);
    expect(demo.hooks).toEqual({ headgate: "", mattermost: "", monotree: "" });
    expect(demo.person).toEqual({ id: before.person.id, name: before.person.name, token: "" });
    expect(demo.admin.token).not.toBe(before.admin.token);
    expect((await ask("GET", "/me", demo.admin.token)).body.is_system_admin).toBe(true);
  });
  expect(output).toMatch(/^note .*channel "alerts" is archived: there are no demo hooks$/m);
  expect(output).toMatch(/^note .*person "sam" is deactivated/m);
  expect(output).toMatch(/^note .*first token of the admin was revoked: a new one was made$/m);
  expect(output).not.toMatch(/^curl -d/m);
});

test("a changed password is not shown, and a locked-out admin is made usable when asked for", async () => {
  const before = await readDemo();
  await withSystem(async () => {
    const { id } = await act("GET", "/me", before.admin.token);
    await act("PATCH", `/users/${id}`, before.admin.token, { password: NEW_PASSWORD });
  });
  const changed = await withSystem(async () => {
    const demo = await readDemo();
    expect(demo.admin).toEqual({ ...before.admin, password: "" });
    const boss = { name: "boss", password: NEW_PASSWORD, is_system_admin: true };
    await act("POST", "/users", demo.admin.token, boss);
    const session = await act("POST", "/sessions", "", { name: "boss", password: NEW_PASSWORD });
    const { id } = await act("GET", "/me", demo.admin.token);
    await act("DELETE", `/users/${id}`, String(session.token));
  });
  expect(changed).toMatch(/^note .*password of the admin was changed: it is not shown$/m);
  expect(changed).not.toContain(before.admin.password);

  const lost = await withSystem(async () => {
    const demo = await readDemo();
    expect(demo.admin).toEqual({ name: "admin", password: "", token: "" });
    expect(demo.channel).toEqual(before.channel);
  });
  expect(lost).toMatch(/^note .*npm start -- --recover-admin$/m);

  const recovered = await withSystem(async () => {
    const { admin } = await readDemo();
    expect((await ask("GET", "/me", admin.token)).body.is_system_admin).toBe(true);
    const login = { name: admin.name, password: admin.password };
    expect((await ask("POST", "/sessions", undefined, login)).status).toBe(201);
  }, ["--recover-admin"]);
  expect(recovered).toContain(`password ${(await readDemo()).admin.password}`);
});

test("on another address the front door listens there, and health and metrics stay on the loopback", async () => {
  host = "127.0.0.2"; // every Linux has it, and nothing of the system listens there by itself
  const output = await withSystem(async () => {
    const { admin } = await readDemo();
    expect((await ask("GET", "/me", admin.token)).status).toBe(200);
    const answers = await Promise.allSettled([fetchOps("127.0.0.1"), fetchOps(host)]);
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
  expect(output).toContain(`ready http://${host}:${port}`);
});

/** The health of the gateway, asked at an address. */
async function fetchOps(address: string): Promise<string> {
  const ports = JSON.parse(await readFile(join(dataDir, "ports.json"), "utf8"));
  const url = `http://${address}:${ports["gateway-ops"]}/readyz`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(60_000) });
  return answer.text();
}

async function hookId(dialect: string): Promise<string> {
  return JSON.parse(await readFile(join(dataDir, "demo-hooks.json"), "utf8"))[dialect];
}

/** Revokes the very token that asks. */
async function revokeOwn(token: string): Promise<void> {
  const { data } = await act("GET", "/tokens", token);
  const tokens = data as { id: string; hint: string; revoked_at: string | null }[]; // as the API says
  const own = tokens.find(({ hint, revoked_at }) => !revoked_at && token.endsWith(hint));
  await act("DELETE", `/tokens/${own?.id}`, token);
}
