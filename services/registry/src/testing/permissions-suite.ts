/** Who may what, played over the rpcs. */
import { createId } from "@headgate/kit/ids";
import { HookAction, Permission, type User } from "@headgate/proto/registry/v1/registry";
import { describe, expect, test } from "vitest";
import { by, failureOf, known, openScene, type World } from "./scene.ts";

/** The suite, on whatever `open` opens. */
export function permissionsSuite(open: () => Promise<World>): void {
  describe("permissions", () => {
    test("show public channels to members, private ones to who is in them, and to guests only these", async () => {
      const world = await open();
      const scene = await openScene(world);
      const seen = async (user: User) => {
        const { channels } = await world.manage.listChannels({
          actor: by(user),
          teamId: scene.teamId,
        });
        return channels.map(({ name }) => name).sort();
      };
      expect(await seen(scene.leader)).toEqual(["closed", "open"]);
      expect(await seen(scene.member)).toEqual(["closed", "open"]);
      expect(await seen(scene.other)).toEqual(["open"]);
      expect(await seen(scene.guest)).toEqual([]);
      await world.manage.addChannelMember({
        actor: by(scene.leader),
        channelId: scene.open.id,
        userId: scene.guest.id,
      });
      expect(await seen(scene.guest)).toEqual(["open"]);
    });

    test("answer every question of Authorise as the management calls do", async () => {
      const world = await open();
      const {
        leader,
        member,
        other,
        guest,
        outsider,
        open: channel,
        closed,
        teamId,
      } = await openScene(world);
      const may = async (user: Pick<User, "id">, permission: Permission, targetId: string) =>
        (await world.ask.authorise({ userId: user.id, permission, targetId })).allowed;
      const {
        READ_CHANNEL,
        POST_TO_CHANNEL,
        MANAGE_CHANNEL,
        MANAGE_TEAM,
        MANAGE_SYSTEM,
        MANAGE_OWN_HOOKS,
        MANAGE_OTHERS_HOOKS,
      } = Permission;
      const table: [Pick<User, "id">, Permission, string, boolean][] = [
        [world.admin, READ_CHANNEL, closed.id, true],
        [leader, READ_CHANNEL, closed.id, true],
        [member, READ_CHANNEL, closed.id, true],
        [other, READ_CHANNEL, closed.id, false],
        [other, READ_CHANNEL, channel.id, true],
        [guest, READ_CHANNEL, channel.id, false],
        [outsider, READ_CHANNEL, channel.id, false],
        [other, POST_TO_CHANNEL, channel.id, true],
        [outsider, POST_TO_CHANNEL, channel.id, false],
        [member, MANAGE_CHANNEL, closed.id, true],
        [other, MANAGE_CHANNEL, channel.id, false],
        [leader, MANAGE_CHANNEL, closed.id, true],
        [leader, MANAGE_TEAM, teamId, true],
        [member, MANAGE_TEAM, teamId, false],
        [leader, MANAGE_TEAM, channel.id, false],
        [leader, MANAGE_SYSTEM, "", false],
        [world.admin, MANAGE_SYSTEM, "", true],
        [member, MANAGE_OWN_HOOKS, channel.id, true],
        [member, MANAGE_OWN_HOOKS, teamId, true],
        [other, MANAGE_OWN_HOOKS, closed.id, false],
        [guest, MANAGE_OWN_HOOKS, teamId, false],
        [leader, MANAGE_OTHERS_HOOKS, channel.id, true],
        [member, MANAGE_OTHERS_HOOKS, teamId, false],
        [leader, READ_CHANNEL, createId(), false],
        [leader, READ_CHANNEL, "no uuid", false],
        [{ id: createId() }, READ_CHANNEL, channel.id, false],
        [leader, Permission.UNSPECIFIED, channel.id, false],
      ];
      const answers = await Promise.all(
        table.map(([user, permission, target]) => may(user, permission, target)),
      );
      expect(answers).toEqual(table.map(([, , , allowed]) => allowed));
    });

    test("hide what may not be read behind the words of a missing thing", async () => {
      const world = await open();
      const { member, other, outsider, closed, teamId, leader } = await openScene(world);
      const { manage } = world;
      const { hook } = await manage.createIncomingHook({
        actor: by(member),
        dialect: "headgate",
        action: HookAction.CHAT_MESSAGE,
        targetId: closed.id,
        name: "h",
      });
      const { token } = await manage.createToken({ actor: by(member), name: "t" });
      const pairs: [Promise<unknown>, Promise<unknown>][] = [
        [
          manage.getChannel({ actor: by(other), id: closed.id }),
          manage.getChannel({ actor: by(other), id: createId() }),
        ],
        [
          manage.archiveChannel({ actor: by(other), id: closed.id }),
          manage.archiveChannel({ actor: by(other), id: "x" }),
        ],
        [
          manage.listTeamMembers({ actor: by(outsider), teamId }),
          manage.listTeamMembers({ actor: by(outsider), teamId: createId() }),
        ],
        [
          manage.getUser({ actor: by(outsider), id: leader.id }),
          manage.getUser({ actor: by(outsider), id: createId() }),
        ],
        [
          manage.deleteIncomingHook({ actor: by(other), id: known(hook).id }),
          manage.deleteIncomingHook({ actor: by(other), id: createId() }),
        ],
        [
          manage.revokeToken({ actor: by(leader), id: known(token).id }),
          manage.revokeToken({ actor: by(leader), id: createId() }),
        ],
      ];
      for (const pair of await Promise.all(pairs.map((one) => Promise.all(one.map(failureOf))))) {
        expect(pair[0]?.code).toBe("not_found");
        expect(pair[0]).toEqual(pair[1]);
      }
    });

    test("say permission_denied where one may see but not change", async () => {
      const world = await open();
      const { member, other, guest, leader, open: channel, teamId } = await openScene(world);
      const { manage } = world;
      const calls = [
        manage.updateChannel({ actor: by(member), id: channel.id, displayName: "mine" }),
        manage.updateTeam({ actor: by(member), id: teamId, displayName: "mine" }),
        manage.removeTeamMember({ actor: by(member), teamId, userId: other.id }),
        manage.updateUser({ actor: by(leader), id: member.id, displayName: "x" }),
        manage.createChannel({ actor: by(guest), teamId, name: "guests" }),
        manage.createBot({ actor: by(guest), teamId, name: "guest.bot" }),
        manage.createTeam({ actor: by(leader), name: "mine" }),
        manage.createUser({ actor: by(leader), name: "mine" }),
      ];
      const codes = (await Promise.all(calls.map(failureOf))).map(({ code }) => code);
      expect(codes).toEqual(calls.map(() => "permission_denied"));
    });

    test("take nothing from nobody, nor from who is deactivated", async () => {
      const world = await open();
      const { member } = await openScene(world);
      await world.manage.deactivateUser({ actor: by(world.admin), id: member.id });
      for (const actor of [by(member), by({ id: createId() })]) {
        const failure = await failureOf(world.manage.listTeams({ actor }));
        expect([failure.code, failure.reason]).toEqual(["unauthenticated", "actor_unknown"]);
      }
      const { allowed } = await world.ask.authorise({
        userId: member.id,
        permission: Permission.MANAGE_SYSTEM,
      });
      expect(allowed).toBe(false);
    });
  });
}
