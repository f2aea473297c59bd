import { toBinary } from "@bufbuild/protobuf";
import { createId } from "@headgate/kit/ids";
import { HookAction, RegistryChangedSchema } from "@headgate/proto/registry/v1/registry";
import { describe, expect, test } from "vitest";
import { createSealer, createToken, digestOf } from "./credential.ts";
import { createPasswords } from "./password.ts";
import { createRegistryService } from "./service.ts";
import { SERVED_ACTIONS } from "./service-hook-checks.ts";
import { accessLossSuite } from "./testing/access-loss-suite.ts";
import { hooksSuite } from "./testing/hooks-suite.ts";
import { createMemoryStore } from "./testing/memory-store.ts";
import { peopleSuite } from "./testing/people-suite.ts";
import { permissionsSuite } from "./testing/permissions-suite.ts";
import { by, callRules, digest, failureOf, known, openScene, type World } from "./testing/scene.ts";
import { createThrottle } from "./throttle.ts";

const { CHAT_MESSAGE, DIRECT_MESSAGE, WALL_POST } = HookAction;

/** A registry in memory with a clock of its own, and its first system admin. */
async function openMemory(served: readonly HookAction[] = [CHAT_MESSAGE, DIRECT_MESSAGE]) {
  let ms = Date.now();
  const now = () => new Date(ms);
  const store = createMemoryStore({ now });
  const registry = createRegistryService({
    store,
    now,
    createId,
    passwords: createPasswords({ logN: 4 }),
    throttle: createThrottle(() => ms),
    sealer: createSealer(new Uint8Array(32)),
    servedActions: new Set(served),
  });
  const token = createToken();
  const firstAdmin = { name: "admin", password: "password", token };
  await registry.ensureFirstAdmin(firstAdmin);
  const calls = callRules(registry);
  const { user } = await calls.ask.resolveToken(digest(token));
  const world: World = {
    ...calls,
    admin: known(user),
    announced: async () =>
      store.tables().announced.map(({ key, value }) => ({ key, value: value ?? null })),
  };
  return {
    ...world,
    world,
    store,
    registry,
    firstAdmin,
    pass(more: number) {
      ms += more;
    },
  };
}

const openWorld = async () => (await openMemory()).world;
permissionsSuite(openWorld);
accessLossSuite(openWorld);
peopleSuite(openWorld);
hooksSuite(openWorld);

describe("the registry", () => {
  test("refuses hooks for actions that no service takes, and names the field", async () => {
    const { manage, world } = await openMemory([...SERVED_ACTIONS]);
    const { member, other } = await openScene(world);
    for (const action of [DIRECT_MESSAGE, WALL_POST]) {
      const draft = { dialect: "headgate", action, targetId: other.id, name: "h" };
      const failure = await failureOf(manage.createIncomingHook({ actor: by(member), ...draft }));
      expect([failure.code, failure.pointers]).toEqual(["invalid_argument", ["/action"]]);
    }
  });

  test("announces no record near the bound of a record, however long each text is", async () => {
    const { manage, world, announced } = await openMemory();
    const { leader, admin, teamId, open: channel } = { ...world, ...(await openScene(world)) };
    const text = (codePoints: number) => "\u{1f600}".repeat(codePoints);
    const link = `https://example.org/${"x".repeat(1_004)}`;
    await manage.createIncomingHook({
      actor: by(leader),
      dialect: "headgate",
      action: CHAT_MESSAGE,
      targetId: channel.id,
      name: text(255),
      description: text(500),
      overrideName: text(64),
      overrideIconUrl: text(1_024),
    });
    const user = { name: "u".repeat(64), displayName: text(128), iconUrl: link };
    const email = `${text(32)}@${text(94)}`;
    await manage.createUser({ actor: by(admin), ...user, email });
    await manage.updateTeam({ actor: by(leader), id: teamId, displayName: text(128) });
    await manage.updateChannel({ actor: by(leader), id: channel.id, displayName: text(128) });
    const sizes = (await announced()).map(({ value }) =>
      value ? toBinary(RegistryChangedSchema, value).length : 0,
    );
    expect(Math.max(...sizes)).toBeGreaterThan(5_000);
    expect(Math.max(...sizes)).toBeLessThan(16_384);
  });

  test("makes the first system admin once", async () => {
    const { registry, firstAdmin, store } = await openMemory();
    const later = { ...firstAdmin, name: "usurper" };
    const made = await Promise.all([
      registry.ensureFirstAdmin(later),
      registry.ensureFirstAdmin(later),
    ]);
    expect(made).toEqual([false, false]);
    expect([...store.tables().users.values()].map(({ name }) => name)).toEqual(["admin"]);
  });

  test("recovers an admin that was deactivated, demoted and locked out, once for each token", async () => {
    const { registry, manage, ask, admin, store } = await openMemory();
    const other = await manage.createUser({ actor: by(admin), name: "boss", isSystemAdmin: true });
    const boss = by(known(other.user));
    const change = { isSystemAdmin: false, password: "another password" };
    await manage.updateUser({ actor: boss, id: admin.id, ...change });
    await manage.deactivateUser({ actor: boss, id: admin.id });
    const wanted = { name: "admin", password: "a new password", token: createToken() };
    expect(await registry.recoverAdmin(wanted)).toBe(true);
    const { user } = await ask.resolveToken(digest(wanted.token));
    expect(user).toMatchObject({ id: admin.id, isSystemAdmin: true, deactivatedAt: undefined });
    expect((await ask.logIn({ name: "admin", password: wanted.password })).user?.id).toBe(admin.id);
    expect(store.tables().audit.some(({ action }) => action === "user.recovered")).toBe(true);

    await manage.updateUser({ actor: boss, id: admin.id, password: "changed once more" });
    expect(await registry.recoverAdmin(wanted)).toBe(false);
    const late = failureOf(ask.logIn({ name: "admin", password: wanted.password }));
    expect((await late).reason).toBe("login_wrong");
  });

  test("recovers no bot, and makes the admin where there is none of that name", async () => {
    const { registry, manage, ask, world } = await openMemory();
    const { member, teamId } = await openScene(world);
    const { bot } = await manage.createBot({ actor: by(member), name: "helper", teamId });
    const asked = { password: "a new password", token: createToken() };
    const failed = await failureOf(registry.recoverAdmin({ ...asked, name: known(bot).name }));
    expect(failed.reason).toBe("admin_is_bot");
    expect(await registry.recoverAdmin({ ...asked, name: "rescuer" })).toBe(true);
    const { user } = await ask.resolveToken(digest(asked.token));
    expect(user).toMatchObject({ name: "rescuer", isSystemAdmin: true });
  });

  test("keeps its last system admin", async () => {
    const { manage, admin } = await openMemory();
    const demote = manage.updateUser({ actor: by(admin), id: admin.id, isSystemAdmin: false });
    expect((await failureOf(demote)).reason).toBe("last_admin");
    const leave = manage.deactivateUser({ actor: by(admin), id: admin.id });
    expect((await failureOf(leave)).reason).toBe("last_admin");
  });

  test("leaves neither row, audit nor announcement of a change that fails", async () => {
    const { manage, world, store } = await openMemory();
    const { member, teamId } = await openScene(world);
    const before = store.tables();
    const counts = [before.audit.length, before.announced.length, before.channels.size];
    await failureOf(manage.createChannel({ actor: by(member), teamId, name: "open" }));
    const after = store.tables();
    expect([after.audit.length, after.announced.length, after.channels.size]).toEqual(counts);
  });

  test("writes who changed what, from what to what, and no secret", async () => {
    const { manage, world, store } = await openMemory();
    const { leader, open: channel } = await openScene(world);
    await manage.updateChannel({ actor: by(leader), id: channel.id, displayName: "Open" });
    expect(store.tables().audit.at(-1)).toMatchObject({
      actorId: leader.id,
      action: "channel.updated",
      subject: `channel:${channel.id}`,
      before: { display_name: "open" },
      after: { display_name: "Open" },
      traceId: by(leader).traceId,
    });
    const { secret } = await manage.createToken({ actor: by(leader), name: "t" });
    await manage.updateUser({ actor: by(leader), id: leader.id, password: "a new secret" });
    const audit = JSON.stringify(store.tables().audit);
    for (const hidden of [
      secret,
      "a new secret",
      Buffer.from(digestOf(secret)).toString("base64"),
    ]) {
      expect(audit).not.toContain(hidden);
    }
  });

  test("stops answering who guesses a password, and only for that name", async () => {
    const { ask, pass } = await openMemory();
    const from = (source: string) => ({ name: "admin", source });
    const guess = () => failureOf(ask.logIn({ ...from("192.0.2.1"), password: "wrong one" }));
    for (let round = 0; round < 10; round++) expect((await guess()).reason).toBe("login_wrong");
    expect((await guess()).code).toBe("resource_exhausted");
    expect((await failureOf(ask.logIn({ name: "nobody", password: "x" }))).reason).toBe(
      "login_wrong",
    );
    pass(60_001);
    expect((await ask.logIn({ name: "admin", password: "password" })).token).toMatch(/^hg_/);
  });

  test("lets tokens and sessions end at their time", async () => {
    const { ask, pass } = await openMemory();
    const { token } = await ask.logIn({ name: "admin", password: "password" });
    pass(29 * 86_400_000);
    expect((await ask.resolveToken(digest(token))).user?.name).toBe("admin");
    pass(2 * 86_400_000);
    expect((await failureOf(ask.resolveToken(digest(token)))).reason).toBe("token_unknown");
  });

  test("notes the use of a token once a minute", async () => {
    const { ask, store, firstAdmin, pass } = await openMemory();
    const lastUse = async () => {
      await ask.resolveToken(digest(firstAdmin.token));
      return [...store.tables().tokens.values()][0]?.lastUsedAt?.seconds;
    };
    const first = await lastUse();
    pass(30_000);
    expect(await lastUse()).toBe(first);
    pass(31_000);
    expect(Number(await lastUse()) - Number(first)).toBe(61);
  });

  test("ends a grace at its time, and announces the hook with one digest", async () => {
    const { manage, world, registry, announced, pass } = await openMemory();
    const { member, open: channel } = await openScene(world);
    const { hook } = await manage.createIncomingHook({
      actor: by(member),
      dialect: "headgate",
      action: 1,
      targetId: channel.id,
      name: "h",
    });
    await manage.rotateIncomingHook({ actor: by(member), id: known(hook).id, graceSeconds: 60 });
    expect(await registry.expireCredentials()).toBe(0);
    pass(60_000);
    expect(await registry.expireCredentials()).toBe(1);
    const told = (await announced()).at(-1)?.value?.subject;
    expect(told?.case === "hook" && told.value.credentialDigests).toHaveLength(1);
  });

  test("announces everything there is when it is asked to, and nothing that is gone", async () => {
    const { manage, world, registry, announced } = await openMemory();
    const { leader, open: channel } = await openScene(world);
    const kinds = { team: 1, user: 6, team_member: 5, channel: 2, channel_member: 2 };
    await manage.archiveChannel({ actor: by(leader), id: channel.id });
    const before = (await announced()).length;
    expect(await registry.announceAll()).toBe(16);
    const again = (await announced()).slice(before).map(({ key }) => key.split(":")[0]);
    for (const [kind, count] of Object.entries(kinds)) {
      expect(again.filter((one) => one === kind)).toHaveLength(count);
    }
  });
});
