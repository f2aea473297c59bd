/** Writes within one transaction: every insert, update and delete of a management change. */
import { isUuid } from "@headgate/kit/ids";
import type { Db } from "@headgate/kit/postgres";
import { HookState } from "@headgate/proto/registry/v1/registry";
import type { Announcement, AuditEntry, Changes } from "./service-deps.ts";
import { createHookChanges } from "./store-hook-changes.ts";
import { insertOne, NEXT_POSITION } from "./store-positions.ts";
import { createReader, oneById } from "./store-reads.ts";
import {
  CHANNEL,
  CHANNEL_MEMBER,
  type ChannelMemberRow,
  type ChannelRow,
  dateOf,
  TEAM,
  TEAM_MEMBER,
  type TeamMemberRow,
  type TeamRow,
  toChannel,
  toChannelMember,
  toTeam,
  toTeamMember,
  toUser,
  USER,
  type UserRow,
} from "./store-rows.ts";
import { createTokenChanges } from "./store-token-changes.ts";

/** Where a change puts its announcements; they are written at its end. */
type Outbox = {
  add(announcements: readonly Announcement[]): void;
  lock(): Promise<void>;
};

/** The writes of one transaction. */
export function createChanges(db: Db, outbox: Outbox): Changes {
  const reader = createReader(db);
  return {
    ...reader,
    ...createTokenChanges(db),
    ...createHookChanges(db),

    async lockTeam(id) {
      const text = `select ${TEAM} from registry.teams t where id = $1 for no key update`;
      const row = await oneById<TeamRow>(db, text, id);
      return row && toTeam(row);
    },
    async lockUser(id) {
      const text = `select ${USER} from registry.users u where id = $1 for no key update`;
      const row = await oneById<UserRow>(db, text, id);
      return row && toUser(row);
    },
    async lockChannel(id) {
      const text = `select ${CHANNEL} from registry.channels c where id = $1 for no key update`;
      const row = await oneById<ChannelRow>(db, text, id);
      return row && toChannel(row);
    },
    async lockBotsOf(ownerId) {
      if (!isUuid(ownerId)) return [];
      const text = `select ${USER} from registry.users u
        where owner_id = $1 and deactivated_at is null order by id for no key update`;
      return (await db.query<UserRow>(text, [ownerId])).map(toUser);
    },
    async lockIdleBotsOf(hookIds) {
      const text = `select ${USER} from registry.users u
        where made_for_hook_id = any($1::uuid[]) and deactivated_at is null
          and not exists (select from registry.incoming_hooks h
                          where h.bot_id = u.id and h.state <> ${HookState.REVOKED})
          and not exists (select from registry.tokens k
                          where k.user_id = u.id and k.revoked_at is null
                            and (k.expires_at is null or k.expires_at > now()))
        order by id for no key update`;
      return (await db.query<UserRow>(text, [hookIds])).map(toUser);
    },
    async lockAdmins() {
      // In one order, so that two admins who demote each other wait instead of blocking each other.
      const text = `select id from registry.users
        where is_system_admin and deactivated_at is null order by id for no key update`;
      return (await db.query(text)).length;
    },
    async lockFirstStart() {
      await db.query("lock table registry.users in share row exclusive mode");
      return (await db.query("select from registry.users limit 1")).length === 0;
    },

    async insertTeam(team, creatorId) {
      return await insertOne(
        db,
        `with place as (${NEXT_POSITION})
         insert into registry.teams
           (id, number, name, display_name, host, zone, creator_id, created_at, updated_at, position)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, (select last from place)) returning position`,
        [
          team.id,
          team.number,
          team.name,
          team.displayName,
          team.host,
          team.zone,
          creatorId,
          dateOf(team.createdAt),
          dateOf(team.updatedAt),
        ],
      );
    },
    async saveTeam(team) {
      await db.query(
        `update registry.teams set display_name = $2, host = $3, zone = $4, updated_at = $5 where id = $1`,
        [team.id, team.displayName, team.host, team.zone, dateOf(team.updatedAt)],
      );
    },
    async putTeamMember(member) {
      const { teamId, userId, role } = member;
      const known = await oneById<TeamMemberRow>(
        db,
        `update registry.team_members m set role = ${Number(role)}
         where team_id = $1 and user_id = $2 returning ${TEAM_MEMBER}`,
        teamId,
        userId,
      );
      if (known) return { member: toTeamMember(known), isNew: false };
      const [row] = await db.query<TeamMemberRow>(
        `with place as (${NEXT_POSITION})
         insert into registry.team_members as m (team_id, user_id, role, created_at, position)
         values ($1, $2, $3, $4, (select last from place))
         on conflict (team_id, user_id) do update set role = excluded.role returning ${TEAM_MEMBER}`,
        [teamId, userId, role, dateOf(member.createdAt)],
      );
      return { member: row ? toTeamMember(row) : member, isNew: true };
    },
    async removeTeamMember(teamId, userId) {
      const text =
        "delete from registry.team_members where team_id = $1 and user_id = $2 returning user_id";
      return (await oneById(db, text, teamId, userId)) !== undefined;
    },
    async insertUser(user, creatorId, passwordHash) {
      return await insertOne(
        db,
        `with place as (${NEXT_POSITION})
         insert into registry.users
           (id, number, name, display_name, email, is_bot, owner_id, is_system_admin, icon_url, password_hash,
            creator_id, created_at, updated_at, made_for_hook_id, position)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, (select last from place))
         returning position`,
        [
          user.id,
          user.number,
          user.name,
          user.displayName,
          user.email,
          user.isBot,
          user.ownerId || null,
          user.isSystemAdmin,
          user.iconUrl,
          passwordHash ?? null,
          creatorId,
          dateOf(user.createdAt),
          dateOf(user.updatedAt),
          user.madeForHookId || null,
        ],
      );
    },
    async saveUser(user) {
      await db.query(
        `update registry.users
         set display_name = $2, email = $3, is_system_admin = $4, icon_url = $5, updated_at = $6, deactivated_at = $7,
             owner_id = $8
         where id = $1`,
        [
          user.id,
          user.displayName,
          user.email,
          user.isSystemAdmin,
          user.iconUrl,
          dateOf(user.updatedAt),
          dateOf(user.deactivatedAt),
          user.ownerId || null,
        ],
      );
    },
    async savePasswordHash(userId, hash) {
      const text = "update registry.users set password_hash = $2 where id = $1";
      await db.query(text, [userId, hash]);
    },
    async insertChannel(channel) {
      return await insertOne(
        db,
        `with place as (${NEXT_POSITION})
         insert into registry.channels
           (id, number, team_id, name, display_name, is_private, creator_id, created_at, updated_at, position)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, (select last from place)) returning position`,
        [
          channel.id,
          channel.number,
          channel.teamId,
          channel.name,
          channel.displayName,
          channel.isPrivate,
          channel.creatorId,
          dateOf(channel.createdAt),
          dateOf(channel.updatedAt),
        ],
      );
    },
    async saveChannel(channel) {
      await db.query(
        `update registry.channels set name = $2, display_name = $3, updated_at = $4, archived_at = $5
         where id = $1`,
        [
          channel.id,
          channel.name,
          channel.displayName,
          dateOf(channel.updatedAt),
          dateOf(channel.archivedAt),
        ],
      );
    },
    async addChannelMember(member) {
      const known = await reader.findChannelMember(member.channelId, member.userId);
      if (known) return { member: known, isNew: false };
      const [row] = await db.query<ChannelMemberRow>(
        `with place as (${NEXT_POSITION})
         insert into registry.channel_members as m (channel_id, user_id, created_at, position)
         values ($1, $2, $3, (select last from place))
         on conflict (channel_id, user_id) do nothing returning ${CHANNEL_MEMBER}`,
        [member.channelId, member.userId, dateOf(member.createdAt)],
      );
      if (row) return { member: toChannelMember(row), isNew: true };
      const other = await reader.findChannelMember(member.channelId, member.userId);
      return { member: other ?? member, isNew: false };
    },
    async removeChannelMember(channelId, userId) {
      const text =
        "delete from registry.channel_members where channel_id = $1 and user_id = $2 returning user_id";
      return (await oneById(db, text, channelId, userId)) !== undefined;
    },
    async leaveChannels(teamId, userId) {
      if (!isUuid(userId)) return [];
      const rows = await db.query<ChannelMemberRow>(
        `delete from registry.channel_members m using registry.channels c
         where c.id = m.channel_id and c.team_id = $1 and m.user_id = $2 returning ${CHANNEL_MEMBER}`,
        [teamId, userId],
      );
      return rows.map((row) => toChannelMember(row).channelId);
    },

    async audit(entry: AuditEntry) {
      await db.query(
        `insert into registry.audit (id, at, actor_id, action, subject, before, after, trace_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [
          entry.id,
          entry.at,
          entry.actorId,
          entry.action,
          entry.subject,
          entry.before === undefined ? null : JSON.stringify(entry.before),
          entry.after === undefined ? null : JSON.stringify(entry.after),
          entry.traceId,
        ],
      );
    },
    lockAnnouncing: outbox.lock,
    announce: outbox.add,
  };
}
