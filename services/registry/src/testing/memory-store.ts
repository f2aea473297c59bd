/** The store in memory, for tests of the rules: one change at a time, all of it or nothing. */
import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import {
  type Channel,
  ChannelMemberSchema,
  HookState,
  type IncomingHook,
  IncomingHookSchema,
  TeamMemberSchema,
  type Token,
  TokenSchema,
} from "@headgate/proto/registry/v1/registry";
import type { Changes, Store } from "../service-deps.ts";
import { createMemoryReader } from "./memory-reader.ts";
import { copyTables, emptyTables, type Tables } from "./memory-tables.ts";

/** A store in memory; `tables` shows what it holds now. */
export function createMemoryStore({ now }: { now: () => Date }): Store & { tables(): Tables } {
  let tables = emptyTables();
  let next = 1n;
  let turn: Promise<unknown> = Promise.resolve();
  const reader = createMemoryReader(() => tables, now);
  return {
    ...reader,
    tables: () => tables,
    change<T>(work: (changes: Changes) => Promise<T>): Promise<T> {
      const run = turn.then(() => changeNow(work));
      turn = run.catch(() => {});
      return run;
    },
    async reserveNumbers(count) {
      next += BigInt(count);
      return next - BigInt(count);
    },
    async touchHooks(uses) {
      for (const { hookId, usedAt } of uses) {
        const hook = tables.hooks.get(hookId);
        const at = Math.min(usedAt.getTime(), now().getTime());
        const last = hook?.lastUsedAt ? timestampDate(hook.lastUsedAt).getTime() : 0;
        if (hook) hook.lastUsedAt = timestampFromDate(new Date(Math.max(at, last)));
      }
    },
    async touchToken(id, at) {
      const token = tables.tokens.get(id);
      if (token) token.lastUsedAt = timestampFromDate(at);
    },
  };

  async function changeNow<T>(work: (changes: Changes) => Promise<T>): Promise<T> {
    const draft = copyTables(tables);
    const result = await work({
      ...createMemoryReader(() => draft, now),
      ...createMemoryWrites(draft, now),
    });
    tables = draft;
    return result;
  }
}

type Writes = Omit<Changes, keyof ReturnType<typeof createMemoryReader>>;

function createMemoryWrites(tables: Tables, now: () => Date): Writes {
  const { teams, users, teamMembers, tokens, channels, channelMembers, hooks } = tables;
  return {
    lockTeam: async (id) => teams.get(id),
    lockUser: async (id) => users.get(id),
    lockToken: async (id) => tokens.get(id),
    lockChannel: async (id) => channels.get(id),
    lockHook: async (id) => withDigests(id),
    lockActiveHooksOf: async (userId) =>
      [...hooks.values()]
        .filter(({ ownerId, botId, state }) => {
          return (ownerId === userId || botId === userId) && state === HookState.ACTIVE;
        })
        .flatMap(({ id }) => withDigests(id) ?? []),
    lockBotsOf: async (ownerId) =>
      [...users.values()].filter((user) => user.ownerId === ownerId && !user.deactivatedAt),
    lockIdleBotsOf: async (hookIds) =>
      [...users.values()].filter((user) => {
        if (user.deactivatedAt || !hookIds.includes(user.madeForHookId)) return false;
        const isNamed = [...hooks.values()].some(
          ({ botId, state }) => botId === user.id && state !== HookState.REVOKED,
        );
        return !isNamed && ![...tokens.values()].some((token) => isLive(token, user.id));
      }),
    lockAdmins: async () =>
      [...users.values()].filter((user) => user.isSystemAdmin && !user.deactivatedAt).length,
    lockFirstStart: async () => users.size === 0,
    lockAnnouncing: async () => {},

    async insertTeam(team, creatorId) {
      return insert(teams, team, creatorId, ({ name }) => name === team.name);
    },
    async saveTeam(team) {
      teams.set(team.id, team);
    },
    async putTeamMember(member) {
      const key = `${member.teamId}:${member.userId}`;
      const known = teamMembers.get(key);
      const put = known
        ? create(TeamMemberSchema, { ...known, role: member.role })
        : create(TeamMemberSchema, { ...member, position: nextPosition() });
      teamMembers.set(key, put);
      return { member: put, isNew: known === undefined };
    },
    removeTeamMember: async (teamId, userId) => teamMembers.delete(`${teamId}:${userId}`),
    async insertUser(user, creatorId, passwordHash) {
      if (passwordHash !== undefined) tables.passwords.set(user.id, passwordHash);
      return insert(users, user, creatorId, ({ name }) => name === user.name);
    },
    async saveUser(user) {
      users.set(user.id, user);
    },
    async savePasswordHash(userId, hash) {
      tables.passwords.set(userId, hash);
    },
    async insertToken(token, digest, creatorId) {
      const name = token.name.toLowerCase();
      tables.digests.set(token.id, digest);
      return insert(tokens, token, creatorId, (other) => {
        const isNamed = !token.isSession && !other.isSession && !other.revokedAt;
        return isNamed && other.userId === token.userId && other.name.toLowerCase() === name;
      });
    },
    async revokeTokens(which, at) {
      const matching = [...tokens.values()].filter((token) => {
        const isLive = !token.expiresAt || timestampDate(token.expiresAt) > at;
        if (token.revokedAt || !isLive) return false;
        if ("id" in which) return token.id === which.id;
        return token.userId === which.userId && (token.isSession || !which.onlySessions);
      });
      for (const token of matching) {
        tokens.set(token.id, create(TokenSchema, { ...token, revokedAt: timestampFromDate(at) }));
      }
      return matching.map(({ id, userId }) => ({ id, userId, digest: digestOfToken(id) }));
    },
    async forgetSessions(userId, endedBefore) {
      for (const token of tokens.values()) {
        const ends = [token.expiresAt, token.revokedAt].filter((end) => end !== undefined);
        const isEnded = ends.some((end) => timestampDate(end) < endedBefore);
        if (token.userId === userId && token.isSession && isEnded) tokens.delete(token.id);
      }
    },
    async insertChannel(channel) {
      const isSame = (other: Channel) =>
        other.teamId === channel.teamId && other.name === channel.name;
      return insert(channels, channel, channel.creatorId, isSame);
    },
    async saveChannel(channel) {
      for (const other of channels.values()) {
        const isOther = other.id !== channel.id && other.teamId === channel.teamId;
        if (isOther && other.name === channel.name) throw taken();
      }
      channels.set(channel.id, channel);
    },
    async addChannelMember(member) {
      const key = `${member.channelId}:${member.userId}`;
      const known = channelMembers.get(key);
      const put = known ?? create(ChannelMemberSchema, { ...member, position: nextPosition() });
      channelMembers.set(key, put);
      return { member: put, isNew: known === undefined };
    },
    removeChannelMember: async (channelId, userId) =>
      channelMembers.delete(`${channelId}:${userId}`),
    async leaveChannels(teamId, userId) {
      const left = [...channels.values()].filter(
        ({ id, teamId: its }) => its === teamId && channelMembers.delete(`${id}:${userId}`),
      );
      return left.map(({ id }) => id);
    },
    async insertHook(hook, creatorId) {
      return insert(hooks, hook, creatorId, () => false);
    },
    async saveHook(hook) {
      hooks.set(hook.id, hook);
    },
    async deleteHook(id) {
      hooks.delete(id);
      tables.credentials.delete(id);
    },
    async deleteHooksOf(targetId, dialects) {
      const dead = [...hooks.values()].filter(
        (hook) => hook.targetId === targetId && dialects.includes(hook.dialect),
      );
      for (const { id } of dead) {
        hooks.delete(id);
        tables.credentials.delete(id);
      }
      return dead.map(({ id }) => id);
    },
    async insertCredential(hookId, credential) {
      tables.credentials.set(hookId, [credential, ...(tables.credentials.get(hookId) ?? [])]);
    },
    async retireCredentials(hookId, until) {
      const current = (tables.credentials.get(hookId) ?? []).filter(({ expiresAt }) => !expiresAt);
      const kept = until ? current.map((one) => ({ ...one, expiresAt: until })) : [];
      tables.credentials.set(hookId, kept);
    },
    async expireCredentials(at, limit) {
      const ids: string[] = [];
      for (const [hookId, list] of tables.credentials) {
        const kept = list.filter(({ expiresAt }) => !expiresAt || expiresAt > at);
        if (kept.length === list.length || ids.length >= limit) continue;
        tables.credentials.set(hookId, kept);
        ids.push(hookId);
      }
      return ids;
    },
    async audit(entry) {
      tables.audit.push(entry);
    },
    announce: (announcements) => void tables.announced.push(...announcements),
  };

  function nextPosition(): bigint {
    tables.place.last += 1n;
    return tables.place.last;
  }

  function insert<Thing extends { id: string; position: bigint }>(
    table: Map<string, Thing>,
    thing: Thing,
    creatorId: string,
    isSame: (other: Thing) => boolean,
  ): bigint {
    if (table.has(thing.id) || [...table.values()].some(isSame)) throw taken();
    const position = nextPosition();
    table.set(thing.id, { ...thing, position });
    tables.creators.set(thing.id, creatorId);
    return position;
  }

  function withDigests(id: string): IncomingHook | undefined {
    const hook = hooks.get(id);
    const credentialDigests = (tables.credentials.get(id) ?? []).map(({ digest }) => digest);
    return hook && create(IncomingHookSchema, { ...hook, credentialDigests });
  }

  function isLive(token: Token, userId: string): boolean {
    const isOver = token.expiresAt && timestampDate(token.expiresAt) <= now();
    return token.userId === userId && !token.revokedAt && !isOver;
  }

  function digestOfToken(id: string): Uint8Array {
    return tables.digests.get(id) ?? new Uint8Array();
  }
}

function taken(): AppError {
  return new AppError("already_exists", "name_taken", "The name is taken.");
}
