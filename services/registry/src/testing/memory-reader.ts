/** Reads of the store in memory, for tests. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type IncomingHook,
  IncomingHookSchema,
  TeamRole,
} from "@headgate/proto/registry/v1/registry";
import type { Reader, Window } from "../service-deps.ts";
import type { Tables } from "./memory-tables.ts";

/** Reads of the tables as they are at each call. */
export function createMemoryReader(read: () => Tables, now: () => Date): Reader {
  return {
    findTeam: async (id) => read().teams.get(id),
    findTeamByName: async (name) => find(read().teams, (team) => team.name === name),
    findTeamMember: async (teamId, userId) => read().teamMembers.get(`${teamId}:${userId}`),
    findTeamMembersOf: async (userId) =>
      [...read().teamMembers.values()].filter((member) => member.userId === userId),
    findChannelsOf: async (teamId, userId) =>
      [...read().channels.values()].filter(
        (channel) =>
          channel.teamId === teamId && read().channelMembers.has(`${channel.id}:${userId}`),
      ),
    findSharedTeam: async (userId, otherId) =>
      page(read().teams, forward(1), ({ id }) => isIn(id, userId) && isIn(id, otherId))[0],
    findUser: async (id) => read().users.get(id),
    findUserByName: async (name) => find(read().users, (user) => user.name === name),
    findPasswordHash: async (userId) => read().passwords.get(userId),
    findChannel: async (id) => read().channels.get(id),
    findChannelByName: async (teamId, name) =>
      find(read().channels, (channel) => channel.teamId === teamId && channel.name === name),
    findChannelMember: async (channelId, userId) =>
      read().channelMembers.get(`${channelId}:${userId}`),
    findHook: async (id) => withDigests(read().hooks.get(id)),
    findHookByDigest: async (digest) =>
      [...read().hooks.values()]
        .flatMap((hook) => withDigests(hook) ?? [])
        .find((hook) => hook.credentialDigests.some((one) => isEqual(one, digest))),
    findToken: async (id) => read().tokens.get(id),
    findTokenByDigest: async (digest) =>
      find(read().tokens, ({ id }) => isEqual(read().digests.get(id), digest)),
    listUnfit: async () => [], // there is no older release to leave any
    findCreator: async (_kind, id) => read().creators.get(id),

    listTeams: async ({ window, memberId, name: wanted }) =>
      page(read().teams, window, ({ id, name }) => {
        if (wanted !== undefined && name !== wanted) return false;
        return memberId === undefined || isIn(id, memberId);
      }),
    listTeamMembers: async ({ window, teamId }) =>
      page(read().teamMembers, window, (member) => member.teamId === teamId),
    listUsers: async ({ window, teamId, isBot, viewerId, name }) =>
      page(read().users, window, (user) => {
        if (name !== undefined && user.name !== name) return false;
        if (teamId !== undefined && !isIn(teamId, user.id)) return false;
        if (isBot !== undefined && user.isBot !== isBot) return false;
        if (viewerId === undefined || user.id === viewerId || user.ownerId === viewerId)
          return true;
        return [...read().teams.keys()].some((id) => isIn(id, user.id) && isIn(id, viewerId));
      }),
    listTokens: async ({ window, userId }) =>
      page(read().tokens, window, (token) => token.userId === userId),
    listChannels: async ({ window, teamId, viewerId, name }) =>
      page(read().channels, window, (channel) => {
        if (name !== undefined && channel.name !== name) return false;
        if (teamId !== undefined && channel.teamId !== teamId) return false;
        if (viewerId === undefined) return true;
        const role = roleOf(channel.teamId, viewerId);
        if (role === undefined) return false;
        if (role === TeamRole.ADMIN || (role === TeamRole.MEMBER && !channel.isPrivate))
          return true;
        return read().channelMembers.has(`${channel.id}:${viewerId}`);
      }),
    listChannelMembers: async ({ window, channelId }) =>
      page(read().channelMembers, window, (member) => member.channelId === channelId),
    listHooks: async ({ window, teamId, dialect, targetId, viewerId, name }) =>
      page(read().hooks, window, (hook) => {
        if (name !== undefined && hook.name !== name) return false;
        if (teamId !== undefined && hook.teamId !== teamId) return false;
        if (dialect !== undefined && hook.dialect !== dialect) return false;
        if (targetId !== undefined && hook.targetId !== targetId) return false;
        if (viewerId === undefined) return true;
        const role = roleOf(hook.teamId, viewerId);
        return role === TeamRole.ADMIN || (role === TeamRole.MEMBER && hook.ownerId === viewerId);
      }).flatMap((hook) => withDigests(hook) ?? []),
  };

  function roleOf(teamId: string, userId: string): TeamRole | undefined {
    return read().teamMembers.get(`${teamId}:${userId}`)?.role;
  }

  function isIn(teamId: string, userId: string): boolean {
    return roleOf(teamId, userId) !== undefined;
  }

  function withDigests(hook: IncomingHook | undefined): IncomingHook | undefined {
    const credentials = read().credentials.get(hook?.id ?? "") ?? [];
    const live = credentials.filter(({ expiresAt }) => !expiresAt || expiresAt > now());
    const credentialDigests = live.map(({ digest }) => digest);
    const retired = live.find(({ expiresAt }) => expiresAt)?.expiresAt;
    const retiredNotAfter = retired && timestampFromDate(retired);
    return hook && create(IncomingHookSchema, { ...hook, credentialDigests, retiredNotAfter });
  }
}

function find<Thing>(
  table: Map<string, Thing>,
  isWanted: (thing: Thing) => boolean,
): Thing | undefined {
  return [...table.values()].find(isWanted);
}

function forward(limit: number): Window {
  return { limit, bound: { case: "after", value: 0n } };
}

/** One page, by position. */
function page<Thing extends { position: bigint }>(
  table: Map<string, Thing>,
  { limit, bound }: Window,
  isWanted: (thing: Thing) => boolean,
): Thing[] {
  const isForward = bound?.case === "after";
  const things = [...table.values()].filter(isWanted).filter(({ position }) => {
    if (!bound) return true;
    return isForward ? position > bound.value : position < bound.value;
  });
  things.sort((one, other) => (one.position < other.position ? -1 : 1));
  return (isForward ? things : things.reverse()).slice(0, limit);
}

function isEqual(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.from(one).equals(other);
}
