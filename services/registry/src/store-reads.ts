/** Reads: every select of the registry. Lists of "what a viewer may" say in SQL what service-permissions.ts says. */
import { isUuid } from "@headgate/kit/ids";
import type { Db } from "@headgate/kit/postgres";
import { HookState, type IncomingHook, TeamRole } from "@headgate/proto/registry/v1/registry";
import type { Kind, Reader } from "./service-deps.ts";
import {
  CHANNEL,
  CHANNEL_MEMBER,
  type ChannelMemberRow,
  type ChannelRow,
  HOOK,
  type HookRow,
  TEAM,
  TEAM_MEMBER,
  type TeamMemberRow,
  type TeamRow,
  TOKEN,
  type TokenRow,
  toChannel,
  toChannelMember,
  toHook,
  toTeam,
  toTeamMember,
  toToken,
  toUser,
  USER,
  type UserRow,
  windowOf,
} from "./store-rows.ts";

const TABLES: Readonly<Record<Kind, string>> = {
  team: "teams",
  user: "users",
  token: "tokens",
  channel: "channels",
  hook: "incoming_hooks",
};

/** Answers no row when one of the ids is no UUID: Postgres would refuse the statement. */
export async function oneById<Row>(
  db: Db,
  text: string,
  ...ids: readonly string[]
): Promise<Row | undefined> {
  if (!ids.every(isUuid)) return undefined;
  return (await db.query<Row>(text, ids))[0];
}

/** Answers no row for a name that holds U+0000: Postgres would refuse the statement. */
async function oneByName<Row>(db: Db, text: string, ...values: string[]): Promise<Row | undefined> {
  if (values.some((value) => value.includes("\0"))) return undefined;
  return (await db.query<Row>(text, values))[0];
}

/** Reads through a pool or within a transaction. */
export function createReader(db: Db): Reader {
  async function findHook(id: string): Promise<IncomingHook | undefined> {
    const text = `select ${HOOK} from registry.incoming_hooks h where id = $1`;
    const row = await oneById<HookRow>(db, text, id);
    return row && toHook(row);
  }

  return {
    async findTeam(id) {
      const row = await oneById<TeamRow>(
        db,
        `select ${TEAM} from registry.teams t where id = $1`,
        id,
      );
      return row && toTeam(row);
    },
    async findTeamByName(name) {
      const text = `select ${TEAM} from registry.teams t where name = $1`;
      const row = await oneByName<TeamRow>(db, text, name);
      return row && toTeam(row);
    },
    async findTeamMember(teamId, userId) {
      const text = `select ${TEAM_MEMBER} from registry.team_members m where team_id = $1 and user_id = $2`;
      const row = await oneById<TeamMemberRow>(db, text, teamId, userId);
      return row && toTeamMember(row);
    },
    async findTeamMembersOf(userId) {
      if (!isUuid(userId)) return [];
      const text = `select ${TEAM_MEMBER} from registry.team_members m where user_id = $1 order by team_id`;
      return (await db.query<TeamMemberRow>(text, [userId])).map(toTeamMember);
    },
    async findChannelsOf(teamId, userId) {
      if (!isUuid(teamId) || !isUuid(userId)) return [];
      const text = `select ${CHANNEL} from registry.channels c
        join registry.channel_members m on m.channel_id = c.id and m.user_id = $2
        where c.team_id = $1 order by c.id`;
      return (await db.query<ChannelRow>(text, [teamId, userId])).map(toChannel);
    },
    async findSharedTeam(userId, otherId) {
      const text = `select ${TEAM} from registry.teams t
        join registry.team_members a on a.team_id = t.id and a.user_id = $1
        join registry.team_members b on b.team_id = t.id and b.user_id = $2
        order by t.position limit 1`;
      const row = await oneById<TeamRow>(db, text, userId, otherId);
      return row && toTeam(row);
    },
    async findUser(id) {
      const row = await oneById<UserRow>(
        db,
        `select ${USER} from registry.users u where id = $1`,
        id,
      );
      return row && toUser(row);
    },
    async findUserByName(name) {
      const text = `select ${USER} from registry.users u where name = $1`;
      const row = await oneByName<UserRow>(db, text, name);
      return row && toUser(row);
    },
    async findPasswordHash(userId) {
      const text = "select password_hash from registry.users where id = $1";
      const row = await oneById<{ password_hash: string | null }>(db, text, userId);
      return row?.password_hash ?? undefined;
    },
    async findChannel(id) {
      const text = `select ${CHANNEL} from registry.channels c where id = $1`;
      const row = await oneById<ChannelRow>(db, text, id);
      return row && toChannel(row);
    },
    async findChannelByName(teamId, name) {
      if (!isUuid(teamId)) return undefined;
      const text = `select ${CHANNEL} from registry.channels c where team_id = $1 and name = $2`;
      const row = await oneByName<ChannelRow>(db, text, teamId, name);
      return row && toChannel(row);
    },
    async findChannelMember(channelId, userId) {
      const text = `select ${CHANNEL_MEMBER} from registry.channel_members m
        where channel_id = $1 and user_id = $2`;
      const row = await oneById<ChannelMemberRow>(db, text, channelId, userId);
      return row && toChannelMember(row);
    },
    findHook,
    async findHookByDigest(digest) {
      // Most digests that are asked for here are unknown ones: a small statement finds that out.
      const [known] = await db.query<{ hook_id: string }>(
        `select hook_id from registry.hook_credentials
         where digest = $1 and (expires_at is null or expires_at > now())`,
        [Buffer.from(digest)],
      );
      return known && (await findHook(known.hook_id));
    },
    async findToken(id) {
      const text = `select ${TOKEN} from registry.tokens k where id = $1`;
      const row = await oneById<TokenRow>(db, text, id);
      return row && toToken(row);
    },
    async findTokenByDigest(digest) {
      const text = `select ${TOKEN} from registry.tokens k where digest = $1`;
      const [row] = await db.query<TokenRow>(text, [Buffer.from(digest)]);
      return row && toToken(row);
    },
    async listUnfit() {
      const rows = await db.query<{ id: string }>(
        `select h.owner_id as id from registry.incoming_hooks h
           join registry.users o on o.id = h.owner_id
           left join registry.channels c on c.id = h.target_id
           left join registry.team_members m on m.team_id = h.team_id and m.user_id = h.owner_id
         where h.state = ${HookState.ACTIVE} and (o.deactivated_at is not null or not o.is_system_admin and (
           m.role is null or m.role < ${TeamRole.MEMBER} or m.role = ${TeamRole.MEMBER} and c.is_private
             and not exists (select from registry.channel_members i
                             where i.channel_id = c.id and i.user_id = h.owner_id)))
         union select h.bot_id from registry.incoming_hooks h
           join registry.users b on b.id = h.bot_id
         where h.state = ${HookState.ACTIVE} and (b.deactivated_at is not null or not exists (
           select from registry.team_members m where m.team_id = h.team_id and m.user_id = b.id))
         union select b.owner_id from registry.users b
           join registry.users o on o.id = b.owner_id
         where b.deactivated_at is null and o.deactivated_at is not null`,
      );
      return rows.map(({ id }) => id);
    },
    async findCreator(kind, id) {
      const text = `select creator_id from registry.${TABLES[kind]} where id = $1`;
      return (await oneById<{ creator_id: string }>(db, text, id))?.creator_id;
    },

    async listTeams({ window, memberId, name }) {
      const parameters: unknown[] = [memberId ?? null, name ?? null];
      const { condition, end } = windowOf(window, "t.position", parameters);
      const text = `select ${TEAM} from registry.teams t
        where ${condition} and ($2::text is null or t.name = $2) and ($1::uuid is null or exists (
          select from registry.team_members m where m.team_id = t.id and m.user_id = $1))
        ${end}`;
      return (await db.query<TeamRow>(text, parameters)).map(toTeam);
    },
    async listTeamMembers({ window, teamId }) {
      const parameters: unknown[] = [teamId];
      const { condition, end } = windowOf(window, "m.position", parameters);
      const text = `select ${TEAM_MEMBER} from registry.team_members m
        where team_id = $1 and ${condition} ${end}`;
      return (await db.query<TeamMemberRow>(text, parameters)).map(toTeamMember);
    },
    async listUsers({ window, teamId, isBot, viewerId, name }) {
      const parameters: unknown[] = [teamId ?? null, isBot ?? null, viewerId ?? null, name ?? null];
      const { condition, end } = windowOf(window, "u.position", parameters);
      const text = `select ${USER} from registry.users u
        where ${condition} and ($2::boolean is null or is_bot = $2)
          and ($4::text is null or u.name = $4)
          and ($1::uuid is null or exists (
            select from registry.team_members m where m.user_id = u.id and m.team_id = $1))
          and ($3::uuid is null or u.id = $3 or u.owner_id = $3 or exists (
            select from registry.team_members m
            join registry.team_members v on v.team_id = m.team_id and v.user_id = $3
            where m.user_id = u.id))
        ${end}`;
      return (await db.query<UserRow>(text, parameters)).map(toUser);
    },
    async listTokens({ window, userId }) {
      const parameters: unknown[] = [userId];
      const { condition, end } = windowOf(window, "k.position", parameters);
      const text = `select ${TOKEN} from registry.tokens k where user_id = $1 and ${condition} ${end}`;
      return (await db.query<TokenRow>(text, parameters)).map(toToken);
    },
    async listChannels({ window, teamId, viewerId, name }) {
      const parameters: unknown[] = [teamId ?? null, viewerId ?? null, name ?? null];
      const { condition, end } = windowOf(window, "c.position", parameters);
      const text = `select ${CHANNEL} from registry.channels c
        where ${condition} and ($1::uuid is null or c.team_id = $1)
          and ($3::text is null or c.name = $3)
          and ($2::uuid is null or exists (
            select from registry.team_members v
            where v.team_id = c.team_id and v.user_id = $2 and (
              v.role = ${TeamRole.ADMIN} or (v.role = ${TeamRole.MEMBER} and not c.is_private) or exists (
                select from registry.channel_members m where m.channel_id = c.id and m.user_id = $2))))
        ${end}`;
      return (await db.query<ChannelRow>(text, parameters)).map(toChannel);
    },
    async listChannelMembers({ window, channelId }) {
      const parameters: unknown[] = [channelId];
      const { condition, end } = windowOf(window, "m.position", parameters);
      const text = `select ${CHANNEL_MEMBER} from registry.channel_members m
        where channel_id = $1 and ${condition} ${end}`;
      return (await db.query<ChannelMemberRow>(text, parameters)).map(toChannelMember);
    },
    async listHooks({ window, teamId, dialect, targetId, viewerId, name }) {
      const parameters: unknown[] = [
        teamId ?? null,
        dialect ?? null,
        targetId ?? null,
        viewerId ?? null,
        name ?? null,
      ];
      const { condition, end } = windowOf(window, "h.position", parameters);
      const text = `select ${HOOK} from registry.incoming_hooks h
        where ${condition} and ($1::uuid is null or h.team_id = $1) and ($2::text is null or h.dialect = $2)
          and ($3::uuid is null or h.target_id = $3) and ($5::text is null or h.name = $5)
          and ($4::uuid is null or exists (
            select from registry.team_members v
            where v.team_id = h.team_id and v.user_id = $4 and (
              v.role = ${TeamRole.ADMIN} or (v.role = ${TeamRole.MEMBER} and h.owner_id = $4))))
        ${end}`;
      return (await db.query<HookRow>(text, parameters)).map(toHook);
    },
  };
}
