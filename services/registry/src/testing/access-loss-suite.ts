/** What people lose, their hooks, bots and tokens lose in the same change: played over the rpcs. */
import { createId } from "@headgate/kit/ids";
import {
  HookAction,
  HookDisabledReason,
  HookState,
  type IncomingHook,
  Permission,
  TeamRole,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { describe, expect, test } from "vitest";
import { by, digest, failureOf, known, openScene, type World } from "./scene.ts";

const { OWNER_DEACTIVATED, OWNER_LEFT, OWNER_ROLE, BOT_DEACTIVATED, BOT_LEFT, UNSPECIFIED } =
  HookDisabledReason;
const { ACTIVE, DISABLED } = HookState;
const DIALECTS = ["headgate", "mattermost", "monotree"] as const;

/** A scene whose member has a bot with a token in the private channel, and hooks of every dialect to that channel. */
async function openOwner(world: World) {
  const scene = await openScene(world);
  const { manage } = world;
  const { member, leader, closed, teamId, suffix } = scene;
  const made = await manage.createBot({ actor: by(member), teamId, name: `helper-${suffix}` });
  const bot = known(made.bot);
  const membership = { channelId: closed.id, userId: bot.id };
  await manage.addChannelMember({ actor: by(member), ...membership });
  const { secret } = await manage.createToken({ actor: by(member), userId: bot.id, name: "t" });
  const make = (more: object = {}) =>
    manage.createIncomingHook({
      actor: by(member),
      dialect: "headgate",
      action: HookAction.CHAT_MESSAGE,
      targetId: closed.id,
      name: "deploys",
      ...more,
    });
  const hooks: { name: string; hook: IncomingHook; credential: string }[] = [];
  for (const dialect of DIALECTS) {
    for (const writer of [{}, { ownerWrites: true }, { botId: bot.id }]) {
      const { hook, credential } = await make({ dialect, ...writer });
      const name = `${dialect} ${Object.keys(writer)[0] ?? "default writer"}`;
      hooks.push({ name, hook: known(hook), credential });
    }
  }
  return { ...scene, bot, secret, make, hooks, get: readHook };

  async function readHook(id: string): Promise<IncomingHook> {
    return known((await manage.getIncomingHook({ actor: by(leader), id })).hook);
  }
}

type Owner = Awaited<ReturnType<typeof openOwner>>;

/** The suite, on whatever `open` opens. */
export function accessLossSuite(open: () => Promise<World>): void {
  const WAYS: readonly {
    name: string;
    reason: HookDisabledReason;
    lose(world: World, owner: Owner): Promise<unknown>;
    isTokenEnded: boolean;
  }[] = [
    {
      name: "a deactivated account",
      reason: OWNER_DEACTIVATED,
      lose: ({ manage, admin }, { member }) =>
        manage.deactivateUser({ actor: by(admin), id: member.id }),
      isTokenEnded: true,
    },
    {
      name: "an account set to inactive",
      reason: OWNER_DEACTIVATED,
      lose: ({ manage, admin }, { member }) =>
        manage.updateUser({ actor: by(admin), id: member.id, isActive: false }),
      isTokenEnded: true,
    },
    {
      name: "a removal from the team",
      reason: OWNER_LEFT,
      lose: ({ manage }, { leader, member, teamId }) =>
        manage.removeTeamMember({ actor: by(leader), teamId, userId: member.id }),
      isTokenEnded: true,
    },
    {
      name: "leaving the team",
      reason: OWNER_LEFT,
      lose: ({ manage }, { member, teamId }) =>
        manage.removeTeamMember({ actor: by(member), teamId, userId: member.id }),
      isTokenEnded: true,
    },
    {
      name: "a removal from the private channel",
      reason: OWNER_LEFT,
      lose: ({ manage }, { leader, member, closed }) =>
        manage.removeChannelMember({
          actor: by(leader),
          channelId: closed.id,
          userId: member.id,
        }),
      isTokenEnded: false,
    },
    {
      name: "the role of a guest",
      reason: OWNER_ROLE,
      lose: ({ manage }, { leader, member, teamId }) =>
        manage.setTeamMember({
          actor: by(leader),
          teamId,
          userId: member.id,
          role: TeamRole.GUEST,
        }),
      isTokenEnded: false,
    },
  ];

  describe("access that is lost", () => {
    for (const { name, reason, lose, isTokenEnded } of WAYS) {
      test(`with ${name} disables the hooks of every dialect at once and says why`, async () => {
        const world = await open();
        const owner = await openOwner(world);
        const before = (await world.announced()).length;
        await lose(world, owner);
        const told = (await world.announced()).slice(before);
        for (const { name: hookName, hook, credential } of owner.hooks) {
          const found = known((await world.ask.resolveHook(digest(credential))).hook);
          expect([hookName, found.state, found.disabledReason]).toEqual([
            hookName,
            DISABLED,
            reason,
          ]);
          const subject = told.findLast(({ key }) => key === `hook:${hook.id}`)?.value?.subject;
          expect(subject?.case === "hook" && subject.value.state).toBe(DISABLED);
        }
      });

      test(`with ${name} takes the same from the bots and their tokens`, async () => {
        const world = await open();
        const owner = await openOwner(world);
        const may = async (permission: Permission, targetId: string) =>
          (await world.ask.authorise({ userId: owner.bot.id, permission, targetId })).allowed;
        expect(await may(Permission.READ_CHANNEL, owner.closed.id)).toBe(true);
        await lose(world, owner);
        if (isTokenEnded) {
          const failure = await failureOf(world.ask.resolveToken(digest(owner.secret)));
          expect(failure.reason).toBe("token_unknown");
        }
        const isStillGuest = reason === OWNER_ROLE; // a guest reads the channels that the guest is in
        expect(await may(Permission.READ_CHANNEL, owner.closed.id)).toBe(isStillGuest);
        const mayStill = await may(Permission.MANAGE_OWN_HOOKS, owner.teamId);
        expect(mayStill).toBe(name.includes("private channel"));
      });
    }

    test("keeps hooks to channels that the owner may still read, and hooks of other teams", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const elsewhere = await openScene(world);
      const { manage, admin } = world;
      await manage.setTeamMember({
        actor: by(admin),
        teamId: elsewhere.teamId,
        userId: owner.member.id,
        role: TeamRole.MEMBER,
      });
      const kept = [
        await owner.make({ targetId: owner.open.id }),
        await owner.make({ targetId: elsewhere.open.id }),
      ];
      const membership = { channelId: owner.closed.id, userId: owner.member.id };
      await manage.removeChannelMember({ actor: by(owner.leader), ...membership });
      const states = await Promise.all(
        kept.map(
          async ({ credential }) => (await world.ask.resolveHook(digest(credential))).hook?.state,
        ),
      );
      expect(states).toEqual([ACTIVE, ACTIVE]);
      await manage.removeTeamMember({
        actor: by(owner.leader),
        teamId: owner.teamId,
        userId: owner.member.id,
      });
      const far = await world.ask.resolveHook(digest(kept[1]?.credential ?? ""));
      expect(far.hook?.state).toBe(ACTIVE);
    });

    test("of a system admin who is no member takes the hooks that only the system's right allowed", async () => {
      const world = await open();
      const { manage, admin } = world;
      const { open: channel, suffix } = await openScene(world);
      const second = known(
        (
          await manage.createUser({
            actor: by(admin),
            name: `second-${suffix}`,
            isSystemAdmin: true,
          })
        ).user,
      );
      const { credential } = await manage.createIncomingHook({
        actor: by(second),
        dialect: "headgate",
        action: HookAction.CHAT_MESSAGE,
        targetId: channel.id,
        name: "h",
      });
      await manage.updateUser({ actor: by(admin), id: second.id, isSystemAdmin: false });
      const { hook } = await world.ask.resolveHook(digest(credential));
      expect([hook?.state, hook?.disabledReason]).toEqual([DISABLED, OWNER_LEFT]);
    });

    test("of a bot disables the hooks that it writes for and those that it owns", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage } = world;
      const { bot, leader, teamId, open: channel } = owner;
      const own = await manage.createIncomingHook({
        actor: by(bot),
        dialect: "headgate",
        action: HookAction.CHAT_MESSAGE,
        targetId: channel.id,
        name: "bots own",
      });
      const written = await owner.make({ actor: by(leader), botId: bot.id });
      const reasons = async () =>
        (await Promise.all([own, written].map(({ hook }) => owner.get(known(hook).id)))).map(
          ({ disabledReason }) => disabledReason,
        );
      await manage.removeTeamMember({ actor: by(leader), teamId, userId: bot.id });
      expect(await reasons()).toEqual([OWNER_LEFT, BOT_LEFT]);
      await manage.setTeamMember({
        actor: by(leader),
        teamId,
        userId: bot.id,
        role: TeamRole.MEMBER,
      });
      for (const { hook } of [own, written]) {
        const request = { actor: by(leader), id: known(hook).id, state: ACTIVE };
        await manage.setIncomingHookState(request);
      }
      expect(await reasons()).toEqual([UNSPECIFIED, UNSPECIFIED]);
      await manage.deactivateUser({ actor: by(owner.member), id: bot.id });
      expect(await reasons()).toEqual([OWNER_DEACTIVATED, BOT_DEACTIVATED]);
    });

    test("comes back only by hand: enabling is refused until the hook has a fit owner", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage, admin } = world;
      const { member, leader, other } = owner;
      const id = known(owner.hooks[0]).hook.id;
      const enable = () => manage.setIncomingHookState({ actor: by(leader), id, state: ACTIVE });
      await manage.deactivateUser({ actor: by(admin), id: member.id });
      const refused = await failureOf(enable());
      expect([refused.code, refused.reason]).toEqual(["failed_precondition", "hook_owner_unfit"]);
      const unfit = manage.updateIncomingHook({ actor: by(leader), id, ownerId: other.id });
      expect((await failureOf(unfit)).pointers).toEqual(["/owner_id"]); // may not read the channel
      const { hook } = await manage.updateIncomingHook({
        actor: by(leader),
        id,
        ownerId: leader.id,
      });
      expect([hook?.ownerId, hook?.state]).toEqual([leader.id, DISABLED]);
      const enabled = known((await enable()).hook);
      expect([enabled.state, enabled.disabledReason]).toEqual([ACTIVE, UNSPECIFIED]);
      const found = await world.ask.resolveHook(digest(known(owner.hooks[0]).credential));
      expect(found.bot?.deactivatedAt).toBeUndefined(); // the bot that was made for the hook came along
      expect(found.bot?.ownerId).toBe(leader.id);
    });

    test("stays lost after the account comes back, until each hook and bot is switched on", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage, admin } = world;
      const { member, bot, secret } = owner;
      await manage.deactivateUser({ actor: by(admin), id: member.id });
      const early = manage.updateUser({ actor: by(admin), id: bot.id, isActive: true });
      expect((await failureOf(early)).reason).toBe("bot_owner_unfit");
      await manage.updateUser({ actor: by(admin), id: member.id, isActive: true });
      for (const { hook } of owner.hooks) expect((await owner.get(hook.id)).state).toBe(DISABLED);
      const found = await manage.getUser({ actor: by(member), id: bot.id });
      expect(found.user?.deactivatedAt).toBeDefined();
      await manage.updateUser({ actor: by(member), id: bot.id, isActive: true });
      for (const { hook } of owner.hooks) {
        const request = { actor: by(member), id: hook.id, state: ACTIVE };
        expect((await manage.setIncomingHookState(request)).hook?.state).toBe(ACTIVE);
      }
      const failure = await failureOf(world.ask.resolveToken(digest(secret)));
      expect(failure.reason).toBe("token_unknown"); // a token that ended is never valid again
    });

    test("is announced for every hook and bot that loses it", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const before = (await world.announced()).length;
      await world.manage.deactivateUser({ actor: by(world.admin), id: owner.member.id });
      const keys = (await world.announced()).slice(before).map(({ key }) => key);
      for (const { hook } of owner.hooks) expect(keys).toContain(`hook:${hook.id}`);
      expect(keys).toContain(`user:${owner.bot.id}`);
    });
  });

  describe("ownership", () => {
    test("of hooks is handed over by admins of the team only", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage } = world;
      const { member, other, leader } = owner;
      const { hook } = await owner.make({ targetId: owner.open.id });
      const id = known(hook).id;
      const mine = manage.updateIncomingHook({ actor: by(member), id, ownerId: other.id });
      expect((await failureOf(mine)).code).toBe("permission_denied");
      const foreign = manage.updateIncomingHook({ actor: by(other), id, ownerId: other.id });
      expect((await failureOf(foreign)).code).toBe("not_found");
      const high = manage.updateIncomingHook({
        actor: by(leader),
        id,
        ownerId: world.admin.id,
      });
      expect((await failureOf(high)).code).toBe("permission_denied");
      for (const ownerId of [createId(), owner.outsider.id, owner.guest.id]) {
        const unfit = manage.updateIncomingHook({ actor: by(leader), id, ownerId });
        expect((await failureOf(unfit)).pointers).toEqual(["/owner_id"]);
      }
      const given = await manage.updateIncomingHook({ actor: by(leader), id, ownerId: other.id });
      expect([given.hook?.ownerId, given.hook?.state]).toEqual([other.id, ACTIVE]);
      expect((await failureOf(manage.getIncomingHook({ actor: by(member), id }))).code).toBe(
        "not_found",
      );
    });

    test("of bots is handed over by admins of their teams, and ends what the former owner knows", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage } = world;
      const { bot, member, other, leader, guest, secret, closed } = owner;
      const give = (actor: Pick<User, "id">, ownerId: string) =>
        manage.updateUser({ actor: by(actor), id: bot.id, ownerId });
      expect((await failureOf(give(member, other.id))).code).toBe("permission_denied");
      expect((await failureOf(give(other, other.id))).code).toBe("permission_denied");
      expect((await failureOf(give(owner.outsider, other.id))).code).toBe("not_found");
      for (const ownerId of [createId(), owner.outsider.id, guest.id, bot.id]) {
        expect((await failureOf(give(leader, ownerId))).pointers).toEqual(["/owner_id"]);
      }
      const person = manage.updateUser({
        actor: by(world.admin),
        id: other.id,
        ownerId: leader.id,
      });
      expect((await failureOf(person)).pointers).toEqual(["/owner_id"]);
      expect((await give(leader, other.id)).user?.ownerId).toBe(other.id);
      const failure = await failureOf(world.ask.resolveToken(digest(secret)));
      expect(failure.reason).toBe("token_unknown");
      const asked = { userId: bot.id, permission: Permission.READ_CHANNEL, targetId: closed.id };
      expect((await world.ask.authorise(asked)).allowed).toBe(false); // the new owner may not read it
      const again = manage.createToken({ actor: by(member), userId: bot.id, name: "mine" });
      expect((await failureOf(again)).pointers).toEqual(["/user_id"]);
    });

    test("of a bot whose owner left the team can be taken over by the team's admin", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage } = world;
      const { bot, member, leader, teamId } = owner;
      await manage.removeTeamMember({ actor: by(leader), teamId, userId: member.id });
      const back = manage.updateUser({ actor: by(member), id: bot.id, isActive: true });
      expect((await failureOf(back)).reason).toBe("bot_owner_unfit");
      await manage.updateUser({ actor: by(leader), id: bot.id, ownerId: leader.id });
      const { user } = await manage.updateUser({ actor: by(leader), id: bot.id, isActive: true });
      expect([user?.ownerId, user?.deactivatedAt]).toEqual([leader.id, undefined]);
    });
  });

  describe("a bot that was made for a hook", () => {
    const ENDS = {
      "is deleted": ({ manage }: World, { member }: Owner, id: string) =>
        manage.deleteIncomingHook({ actor: by(member), id }),
      "is revoked": ({ manage }: World, { member }: Owner, id: string) =>
        manage.setIncomingHookState({ actor: by(member), id, state: HookState.REVOKED }),
      "gets another writer": ({ manage }: World, { member, bot }: Owner, id: string) =>
        manage.updateIncomingHook({ actor: by(member), id, botId: bot.id }),
    };
    for (const [name, end] of Object.entries(ENDS)) {
      test(`ends when the hook ${name}`, async () => {
        const world = await open();
        const owner = await openOwner(world);
        const { hook } = known(owner.hooks[0]);
        await end(world, owner, hook.id);
        const found = await world.manage.getUser({ actor: by(owner.leader), id: hook.botId });
        expect(found.user?.deactivatedAt).toBeDefined();
        const own = await world.manage.getUser({ actor: by(owner.leader), id: owner.bot.id });
        expect(own.user?.deactivatedAt).toBeUndefined(); // made by hand
      });
    }

    test("stays with the hook when the channel is archived: the hook can be given another", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { hook } = known(owner.hooks[0]);
      await world.manage.archiveChannel({ actor: by(owner.member), id: owner.closed.id });
      const found = await world.manage.getUser({ actor: by(owner.leader), id: hook.botId });
      expect(found.user?.deactivatedAt).toBeUndefined();
    });

    test("stays while another hook or a token uses it", async () => {
      const world = await open();
      const owner = await openOwner(world);
      const { manage } = world;
      const { member } = owner;
      const [first, second] = owner.hooks.filter(({ name }) => /^(head|mono).*default/.test(name));
      const shared = known(first).hook;
      await owner.make({ botId: shared.botId });
      await manage.deleteIncomingHook({ actor: by(member), id: shared.id });
      const held = known(second).hook;
      await manage.createToken({ actor: by(member), userId: held.botId, name: "t" });
      await manage.deleteIncomingHook({ actor: by(member), id: held.id });
      for (const id of [shared.botId, held.botId]) {
        const { user } = await manage.getUser({ actor: by(member), id });
        expect(user?.deactivatedAt).toBeUndefined();
      }
    });
  });
}
