/** Rows as they come from Postgres, and the messages they become. Column lists stand beside their mapping. */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Channel,
  type ChannelMember,
  ChannelMemberSchema,
  ChannelSchema,
  type HookAction,
  type HookDisabledReason,
  type HookState,
  type IncomingHook,
  IncomingHookSchema,
  type Team,
  type TeamMember,
  TeamMemberSchema,
  type TeamRole,
  TeamSchema,
  type Token,
  TokenSchema,
  type User,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import type { Window } from "./service-deps.ts";

/** Columns of registry.teams t. */
export const TEAM = `t.id, t.number, t.name, t.display_name, t.host, t.zone, t.created_at, t.updated_at, t.position`;
/** A row of TEAM. */
export type TeamRow = {
  id: string;
  number: string;
  name: string;
  display_name: string;
  host: string;
  zone: string;
  created_at: Date;
  updated_at: Date;
  position: string;
};
/** The team of a row. */
export function toTeam(row: TeamRow): Team {
  return create(TeamSchema, {
    id: row.id,
    number: BigInt(row.number),
    name: row.name,
    displayName: row.display_name,
    host: row.host,
    zone: row.zone,
    createdAt: timestampFromDate(row.created_at),
    updatedAt: timestampFromDate(row.updated_at),
    position: BigInt(row.position),
  });
}

/** Columns of registry.team_members m. */
export const TEAM_MEMBER = `m.team_id, m.user_id, m.role, m.created_at, m.position`;
/** A row of TEAM_MEMBER. */
export type TeamMemberRow = {
  team_id: string;
  user_id: string;
  role: TeamRole;
  created_at: Date;
  position: string;
};
/** The member of a row. */
export function toTeamMember(row: TeamMemberRow): TeamMember {
  return create(TeamMemberSchema, {
    teamId: row.team_id,
    userId: row.user_id,
    role: row.role,
    createdAt: timestampFromDate(row.created_at),
    position: BigInt(row.position),
  });
}

/** Columns of registry.users u; the password's hash is none of them. */
export const USER = `u.id, u.number, u.name, u.display_name, u.email, u.is_bot, u.owner_id, u.is_system_admin,
  u.icon_url, u.created_at, u.updated_at, u.deactivated_at, u.made_for_hook_id, u.position`;
/** A row of USER. */
export type UserRow = {
  id: string;
  number: string;
  name: string;
  display_name: string;
  email: string;
  is_bot: boolean;
  owner_id: string | null;
  is_system_admin: boolean;
  icon_url: string;
  created_at: Date;
  updated_at: Date;
  deactivated_at: Date | null;
  made_for_hook_id: string | null;
  position: string;
};
/** The person or bot of a row. */
export function toUser(row: UserRow): User {
  return create(UserSchema, {
    id: row.id,
    number: BigInt(row.number),
    name: row.name,
    displayName: row.display_name,
    email: row.email,
    isBot: row.is_bot,
    ownerId: row.owner_id ?? "",
    isSystemAdmin: row.is_system_admin,
    iconUrl: row.icon_url,
    createdAt: timestampFromDate(row.created_at),
    updatedAt: timestampFromDate(row.updated_at),
    deactivatedAt: toTimestamp(row.deactivated_at),
    madeForHookId: row.made_for_hook_id ?? "",
    position: BigInt(row.position),
  });
}

/** Columns of registry.tokens k; the digest is none of them. */
export const TOKEN = `k.id, k.user_id, k.name, k.hint, k.is_session, k.created_at, k.expires_at, k.last_used_at, k.revoked_at, k.position`;
/** A row of TOKEN. */
export type TokenRow = {
  id: string;
  user_id: string;
  name: string;
  hint: string;
  is_session: boolean;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
  position: string;
};
/** The token of a row. */
export function toToken(row: TokenRow): Token {
  return create(TokenSchema, {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    hint: row.hint,
    isSession: row.is_session,
    createdAt: timestampFromDate(row.created_at),
    expiresAt: toTimestamp(row.expires_at),
    lastUsedAt: toTimestamp(row.last_used_at),
    revokedAt: toTimestamp(row.revoked_at),
    position: BigInt(row.position),
  });
}

/** Columns of registry.channels c. */
export const CHANNEL = `c.id, c.number, c.team_id, c.name, c.display_name, c.is_private, c.creator_id,
  c.created_at, c.updated_at, c.archived_at, c.position`;
/** A row of CHANNEL. */
export type ChannelRow = {
  id: string;
  number: string;
  team_id: string;
  name: string;
  display_name: string;
  is_private: boolean;
  creator_id: string;
  created_at: Date;
  updated_at: Date;
  archived_at: Date | null;
  position: string;
};
/** The channel of a row. */
export function toChannel(row: ChannelRow): Channel {
  return create(ChannelSchema, {
    id: row.id,
    number: BigInt(row.number),
    teamId: row.team_id,
    name: row.name,
    displayName: row.display_name,
    isPrivate: row.is_private,
    creatorId: row.creator_id,
    createdAt: timestampFromDate(row.created_at),
    updatedAt: timestampFromDate(row.updated_at),
    archivedAt: toTimestamp(row.archived_at),
    position: BigInt(row.position),
  });
}

/** Columns of registry.channel_members m. */
export const CHANNEL_MEMBER = `m.channel_id, m.user_id, m.created_at, m.position`;
/** A row of CHANNEL_MEMBER. */
export type ChannelMemberRow = {
  channel_id: string;
  user_id: string;
  created_at: Date;
  position: string;
};
/** The member of a row. */
export function toChannelMember(row: ChannelMemberRow): ChannelMember {
  return create(ChannelMemberSchema, {
    channelId: row.channel_id,
    userId: row.user_id,
    createdAt: timestampFromDate(row.created_at),
    position: BigInt(row.position),
  });
}

/** Columns of registry.incoming_hooks h, with the digests of its live credentials, newest first. */
export const HOOK = `h.id, h.number, h.team_id, h.dialect, h.action, h.target_id, h.name, h.description, h.owner_id,
  h.bot_id, h.override_name, h.override_icon_url, h.target_locked, h.limit_per_minute, h.limit_burst, h.state, h.disabled_reason, h.hint,
  h.created_at, h.updated_at, h.last_used_at, h.position,
  array(select d.digest from registry.hook_credentials d
        where d.hook_id = h.id and (d.expires_at is null or d.expires_at > now())
        order by d.expires_at desc nulls first, d.digest) as digests,
  (select min(d.expires_at) from registry.hook_credentials d
   where d.hook_id = h.id and d.expires_at > now()) as retired_not_after`;
/** A row of HOOK. */
export type HookRow = {
  id: string;
  number: string;
  team_id: string;
  dialect: string;
  action: HookAction;
  target_id: string;
  name: string;
  description: string;
  owner_id: string;
  bot_id: string | null;
  override_name: string;
  override_icon_url: string;
  target_locked: boolean;
  limit_per_minute: number | null;
  limit_burst: number | null;
  state: HookState;
  disabled_reason: HookDisabledReason;
  hint: string;
  created_at: Date;
  updated_at: Date;
  last_used_at: Date | null;
  digests: Buffer[];
  retired_not_after: Date | null;
  position: string;
};
/** The hook of a row. */
export function toHook(row: HookRow): IncomingHook {
  const { limit_per_minute: perMinute, limit_burst: burst } = row;
  return create(IncomingHookSchema, {
    id: row.id,
    number: BigInt(row.number),
    teamId: row.team_id,
    dialect: row.dialect,
    action: row.action,
    targetId: row.target_id,
    name: row.name,
    description: row.description,
    ownerId: row.owner_id,
    botId: row.bot_id ?? "",
    overrideName: row.override_name,
    overrideIconUrl: row.override_icon_url,
    targetLocked: row.target_locked,
    limits: perMinute === null || burst === null ? undefined : { perMinute, burst },
    state: row.state,
    disabledReason: row.disabled_reason,
    credentialDigests: row.digests.map((digest) => new Uint8Array(digest)),
    hint: row.hint,
    createdAt: timestampFromDate(row.created_at),
    updatedAt: timestampFromDate(row.updated_at),
    lastUsedAt: toTimestamp(row.last_used_at),
    retiredNotAfter: toTimestamp(row.retired_not_after),
    position: BigInt(row.position),
  });
}

function toTimestamp(date: Date | null): Timestamp | undefined {
  return date === null ? undefined : timestampFromDate(date);
}

/** The end of a list: what the page bounds, its order, its limit. Adds its values to `parameters`. */
export function windowOf(
  { bound, limit }: Window,
  column: string,
  parameters: unknown[],
): { condition: string; end: string } {
  const isForward = bound?.case === "after";
  const end = `order by ${column} ${isForward ? "asc" : "desc"} limit $${parameters.push(limit)}`;
  if (!bound) return { condition: "true", end };
  const place = `$${parameters.push(bound.value)}::bigint`;
  return { condition: `${column} ${isForward ? ">" : "<"} ${place}`, end };
}

/** The Date of a timestamp; null where there is none. */
export function dateOf(timestamp: Timestamp | undefined): Date | null {
  return timestamp ? timestampDate(timestamp) : null;
}
