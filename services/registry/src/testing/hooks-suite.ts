/** Incoming hooks, played over the rpcs. */
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createId } from "@headgate/kit/ids";
import { HookAction, HookState, type User } from "@headgate/proto/registry/v1/registry";
import { describe, expect, test } from "vitest";
import { by, digest, failureOf, known, openScene, type World } from "./scene.ts";

const { CHAT_MESSAGE, DIRECT_MESSAGE, WALL_POST } = HookAction;

/** The suite, on whatever `open` opens. */
export function hooksSuite(open: () => Promise<World>): void {
  async function openHooks() {
    const world = await open();
    const scene = await openScene(world);
    const make = (owner: Pick<User, "id">, more: object = {}) =>
      world.manage.createIncomingHook({
        actor: by(owner),
        dialect: "headgate",
        action: CHAT_MESSAGE,
        targetId: scene.open.id,
        name: "Disk Alerts!",
        ...more,
      });
    return { ...world, ...scene, make };
  }

  describe("incoming hooks", () => {
    test("resolve by their credential, whose form is the dialect's, to everything they name", async () => {
      const { ask, make, member, open: channel, teamId } = await openHooks();
      const forms = {
        headgate: /^hgi_[A-Za-z0-9_-]{43}$/,
        monotree: /^[A-Za-z0-9_-]{43}$/,
        mattermost: /^[ybndrfg8ejkmcpqxot1uwisza345h769]{26}$/,
      };
      for (const [dialect, form] of Object.entries(forms)) {
        const { hook, credential } = await make(member, { dialect });
        expect(credential).toMatch(form);
        expect(hook?.hint).toBe(credential.slice(-4));
        const found = await ask.resolveHook(digest(credential));
        expect(found.hook).toEqual(hook);
        expect([found.team?.id, found.channel?.id, found.owner?.id]).toEqual([
          teamId,
          channel.id,
          member.id,
        ]);
      }
      const failure = await failureOf(ask.resolveHook(digest("hgi_nobody's")));
      expect([failure.code, failure.reason]).toEqual(["not_found", "hook_unknown"]);
    });

    test("are found by their name, as teams, channels and people are, by those who may see them", async () => {
      const { manage, make, member, outsider, open: channel, teamId } = await openHooks();
      const { hook } = await make(member);
      await make(member, { name: "other" });
      const actor = by(member);
      const { team } = await manage.getTeam({ actor, id: teamId });
      const found = async (actor: ReturnType<typeof by>, ending = "") => [
        (await manage.listTeams({ actor, name: known(team).name + ending })).teams,
        (await manage.listChannels({ actor, name: channel.name + ending })).channels,
        (await manage.listUsers({ actor, name: member.name + ending })).users,
        (await manage.listIncomingHooks({ actor, name: `Disk Alerts!${ending}` })).hooks,
      ];
      const idsOf = (lists: readonly { id: string }[][]) =>
        lists.map((list) => list.map(({ id }) => id));
      expect(idsOf(await found(actor))).toEqual([[teamId], [channel.id], [member.id], [hook?.id]]);
      expect(idsOf(await found(actor, "x"))).toEqual([[], [], [], []]);
      expect(idsOf(await found(by(outsider)))).toEqual([[], [], [], []]);
    });

    test("write by a bot named after them, in Mattermost by their owner", async () => {
      const { ask, make, member, teamId, manage } = await openHooks();
      const ours = await ask.resolveHook(digest((await make(member)).credential));
      expect(ours.bot?.displayName).toBe("Disk Alerts!");
      expect(ours.bot?.name).toMatch(/^disk-alerts-[0-9a-f]{8}$/);
      expect(ours.bot?.ownerId).toBe(member.id);
      const bots = await manage.listUsers({ actor: by(member), teamId, isBot: true });
      expect(bots.users.map(({ id }) => id)).toEqual([ours.bot?.id]);
      const theirs = await ask.resolveHook(
        digest((await make(member, { dialect: "mattermost", name: "" })).credential),
      );
      expect(theirs.bot).toBeUndefined();
    });

    test("name every faulty field at once", async () => {
      const { make, member, closed, other, guest } = await openHooks();
      const all = make(member, {
        id: "x",
        dialect: "telex",
        action: WALL_POST,
        name: "",
        limits: { perMinute: 0, burst: 2_000_000 },
        ownerId: createId(),
      });
      expect((await failureOf(all)).pointers).toEqual([
        "/id",
        "/owner_id",
        "/dialect",
        "/action",
        "/name",
        "/limits/per_minute",
        "/limits/burst",
      ]);
      const hidden = await failureOf(make(other, { targetId: closed.id }));
      expect(hidden.pointers).toEqual(["/target/channel_id"]);
      expect(hidden).toEqual(await failureOf(make(other, { targetId: createId() })));
      expect((await failureOf(make(guest))).pointers).toEqual(["/target/channel_id"]);
      const both = make(member, { ownerWrites: true, botId: createId() });
      expect((await failureOf(both)).pointers).toEqual(["/bot_id", "/bot_id"]);
    });

    test("to a person are always written by a bot, and belong to a team of both", async () => {
      const { make, member, other, outsider, teamId } = await openHooks();
      const direct = { action: DIRECT_MESSAGE, targetId: other.id };
      const { hook } = await make(member, direct);
      expect(hook?.teamId).toBe(teamId);
      expect(hook?.botId).not.toBe("");
      const byOwner = await failureOf(make(member, { ...direct, ownerWrites: true }));
      expect(byOwner.pointers).toEqual(["/bot_id"]);
      const far = await failureOf(make(member, { ...direct, targetId: outsider.id }));
      expect(far.pointers).toEqual(["/target/user_id"]);
      const upstream = await failureOf(
        make(member, { ...direct, dialect: "mattermost", ownerWrites: true }),
      );
      expect(upstream.pointers).toEqual(["/action", "/bot_id"]);
    });

    test("are their owner's and the team admins' to see and to change", async () => {
      const { make, member, other, leader, guest, manage, teamId } = await openHooks();
      const { hook } = await make(member);
      const id = known(hook).id;
      const seen = async (user: User) =>
        (await manage.listIncomingHooks({ actor: by(user), teamId })).hooks.map((one) => one.id);
      expect(await Promise.all([member, leader, other, guest].map(seen))).toEqual([
        [id],
        [id],
        [],
        [],
      ]);
      const named = await manage.updateIncomingHook({ actor: by(leader), id, name: "Named" });
      expect([named.hook?.name, named.hook?.ownerId]).toEqual(["Named", member.id]);
      const foreign = manage.updateIncomingHook({ actor: by(other), id, name: "Mine" });
      expect((await failureOf(foreign)).code).toBe("not_found");
    });

    test("are made for others by team admins only, and never in a system admin's name", async () => {
      const { make, member, other, leader, admin } = await openHooks();
      expect((await failureOf(make(member, { ownerId: other.id }))).code).toBe("permission_denied");
      expect((await make(leader, { ownerId: other.id })).hook?.ownerId).toBe(other.id);
      const high = await failureOf(make(leader, { ownerId: admin.id }));
      expect(high.code).toBe("permission_denied");
    });

    test("borrow no bot of somebody else", async () => {
      const { make, member, other, leader, manage, teamId, suffix } = await openHooks();
      const { bot } = await manage.createBot({ actor: by(other), teamId, name: `b-${suffix}` });
      const botId = known(bot).id;
      expect((await failureOf(make(member, { botId }))).pointers).toEqual(["/bot_id"]);
      expect((await make(other, { botId })).hook?.botId).toBe(botId);
      expect((await make(leader, { botId })).hook?.botId).toBe(botId);
    });

    test("show their credential once", async () => {
      const { make, member, manage } = await openHooks();
      const id = createId();
      const first = await make(member, { id });
      const again = await make(member, { id });
      expect([again.existed, again.credential, again.hook?.id]).toEqual([true, "", id]);
      expect(again.hook).toEqual(first.hook);
      const { hook } = await manage.getIncomingHook({ actor: by(member), id });
      expect(hook?.credentialDigests).toEqual([digest(first.credential).credentialDigest]);
    });

    test("keep the old credential beside the new for the grace, and never three", async () => {
      const { make, member, manage, ask } = await openHooks();
      const { hook, credential: first } = await make(member);
      const rotate = (graceSeconds: number) =>
        manage.rotateIncomingHook({ actor: by(member), id: known(hook).id, graceSeconds });
      const second = await rotate(3_600);
      expect(second.hook?.credentialDigests).toHaveLength(2);
      for (const live of [first, second.credential]) {
        expect((await ask.resolveHook(digest(live))).hook?.id).toBe(hook?.id);
      }
      const third = await rotate(3_600);
      expect(third.hook?.credentialDigests).toHaveLength(2);
      expect((await failureOf(ask.resolveHook(digest(first)))).code).toBe("not_found");
      const fourth = await rotate(0);
      expect(fourth.hook?.credentialDigests).toHaveLength(1);
      expect((await failureOf(ask.resolveHook(digest(second.credential)))).code).toBe("not_found");
      expect((await failureOf(rotate(86_401))).pointers).toEqual(["/grace_seconds"]);
    });

    test("come back from disabled, never from revoked", async () => {
      const { make, member, manage, ask } = await openHooks();
      const { hook, credential } = await make(member);
      const put = (state: HookState) =>
        manage.setIncomingHookState({ actor: by(member), id: known(hook).id, state });
      expect((await put(HookState.DISABLED)).hook?.state).toBe(HookState.DISABLED);
      expect((await put(HookState.ACTIVE)).hook?.state).toBe(HookState.ACTIVE);
      await put(HookState.REVOKED);
      expect((await put(HookState.REVOKED)).hook?.state).toBe(HookState.REVOKED);
      expect((await failureOf(put(HookState.ACTIVE))).reason).toBe("hook_revoked");
      expect((await ask.resolveHook(digest(credential))).hook?.state).toBe(HookState.REVOKED);
      const changes = [
        manage.updateIncomingHook({ actor: by(member), id: known(hook).id, name: "x" }),
        manage.rotateIncomingHook({ actor: by(member), id: known(hook).id }),
      ];
      const codes = (await Promise.all(changes.map(failureOf))).map(({ code }) => code);
      expect(codes).toEqual(["failed_precondition", "failed_precondition"]);
    });

    test("of Mattermost are deleted with their channel and announced as such, others stay", async () => {
      const { make, member, leader, manage, ask, announced, open: channel } = await openHooks();
      const { hook, credential } = await make(member, { dialect: "mattermost" });
      const other = await make(member, { dialect: "monotree" });
      await manage.archiveChannel({ actor: by(leader), id: channel.id });
      await manage.archiveChannel({ actor: by(leader), id: channel.id });
      expect((await failureOf(ask.resolveHook(digest(credential)))).code).toBe("not_found");
      const told = (await announced()).filter(({ key }) => key === `hook:${hook?.id}`);
      expect(told.map(({ value }) => value?.subject.case)).toEqual(["hook", undefined]);
      const resolved = await ask.resolveHook(digest(other.credential));
      expect([resolved.hook?.state, resolved.channel?.archivedAt]).toEqual([
        HookState.ACTIVE,
        expect.anything(),
      ]);
      expect((await failureOf(make(member))).pointers).toEqual(["/target/channel_id"]);
    });

    test("set and drop limits, and stay in their team", async () => {
      const { make, member, manage, ...world } = await openHooks();
      const elsewhere = await openScene({ manage, ...world });
      const { hook } = await make(member, { limits: { perMinute: 60, burst: 10 } });
      const id = known(hook).id;
      expect(hook?.limits?.perMinute).toBe(60);
      const cleared = await manage.updateIncomingHook({ actor: by(member), id, clearLimits: true });
      expect(cleared.hook?.limits).toBeUndefined();
      const away = manage.updateIncomingHook({
        actor: by(world.admin),
        id,
        targetId: elsewhere.open.id,
      });
      expect((await failureOf(away)).pointers).toEqual(["/target/channel_id"]);
    });

    test("remember their last use, never an older one nor one to come", async () => {
      const { make, member, manage, ask } = await openHooks();
      const { hook } = await make(member);
      const hookId = known(hook).id;
      const lastUse = async (...times: number[]) => {
        const uses = times.map((at) => ({ hookId, usedAt: timestampFromDate(new Date(at)) }));
        await ask.touchHooks({ uses: [...uses, { hookId: createId() }] });
        const found = await manage.getIncomingHook({ actor: by(member), id: hookId });
        return timestampDate(known(found.hook?.lastUsedAt)).getTime();
      };
      const past = Date.now() - 86_400_000;
      expect(await lastUse(past, past - 1_000)).toBe(past);
      expect(await lastUse(past - 1)).toBe(past);
      expect(await lastUse(Date.now() + 86_400_000)).toBeLessThan(Date.now() + 60_000);
      expect((await failureOf(ask.touchHooks({ uses: [] }))).pointers).toEqual(["/uses"]);
    });
  });
}
