/**
 * Who may what. System admins may everything; a team's admins everything in their team; members read its public
 * channels and their own private ones, post there, make channels and bots, and manage their own hooks; guests read and
 * post only where they are members. Bots are members like people. The queries in store-*.ts that list "what a viewer
 * may" say the same in SQL.
 */
import {
  type Channel,
  type IncomingHook,
  Permission,
  TeamRole,
  type User,
} from "@headgate/proto/registry/v1/registry";
import type { Reader } from "./service-deps.ts";

/** What a user is in a team: UNSPECIFIED is nothing, a system admin is ADMIN in all. Deactivated users are nothing. */
export async function roleIn(
  reader: Pick<Reader, "findTeamMember">,
  user: User,
  teamId: string,
): Promise<TeamRole> {
  if (user.deactivatedAt) return TeamRole.UNSPECIFIED;
  if (user.isSystemAdmin) return TeamRole.ADMIN;
  const member = await reader.findTeamMember(teamId, user.id);
  return member?.role ?? TeamRole.UNSPECIFIED;
}

/** A user before a channel: the role in its team, and whether the user is in it. */
export type Standing = {
  readonly userId: string;
  readonly role: TeamRole;
  readonly isInChannel: boolean;
};

/** Reads the standing of a user before a channel. */
export async function standingBefore(
  reader: Pick<Reader, "findTeamMember" | "findChannelMember">,
  user: User,
  channel: Channel,
): Promise<Standing> {
  const role = await roleIn(reader, user, channel.teamId);
  const isAsked = role === TeamRole.GUEST || role === TeamRole.MEMBER;
  const member = isAsked ? await reader.findChannelMember(channel.id, user.id) : undefined;
  return { userId: user.id, role, isInChannel: member !== undefined };
}

/** Reading, archived channels too. */
export function mayReadChannel({ role, isInChannel }: Standing, channel: Channel): boolean {
  if (role === TeamRole.ADMIN) return true;
  if (role === TeamRole.MEMBER) return isInChannel || !channel.isPrivate;
  return role === TeamRole.GUEST && isInChannel;
}

/** Writing: wherever one reads, unless the channel is archived. */
export function mayPostToChannel(standing: Standing, channel: Channel): boolean {
  return mayReadChannel(standing, channel) && !channel.archivedAt;
}

/** Renaming, archiving, adding and removing members: admins, and the member who made it. */
export function mayManageChannel(standing: Standing, channel: Channel): boolean {
  if (standing.role === TeamRole.ADMIN) return true;
  const isMaker = standing.role === TeamRole.MEMBER && channel.creatorId === standing.userId;
  return isMaker && mayReadChannel(standing, channel);
}

/** Making channels, bots and hooks of one's own in a team. */
export function mayMakeThings(role: TeamRole): boolean {
  return role === TeamRole.MEMBER || role === TeamRole.ADMIN;
}

/** Changing a team, its members and everybody's hooks. */
export function mayManageTeam(role: TeamRole): boolean {
  return role === TeamRole.ADMIN;
}

/** Seeing and changing a hook: the owner while a member of the team, and the team's admins. */
export function mayManageHook(role: TeamRole, userId: string, hook: IncomingHook): boolean {
  return mayManageTeam(role) || (mayMakeThings(role) && hook.ownerId === userId);
}

/** Whether one user may know of another: the same, a bot of one's own, or somebody of a shared team. */
export async function maySeeUser(reader: Reader, viewer: User, user: User): Promise<boolean> {
  if (viewer.isSystemAdmin || viewer.id === user.id || user.ownerId === viewer.id) return true;
  return (await reader.findSharedTeam(viewer.id, user.id)) !== undefined;
}

/**
 * Whether a user may do a thing to a channel or a team. What is not there, or is of another kind than the permission
 * is about, is not allowed.
 */
export async function mayDo(
  reader: Reader,
  user: User,
  permission: Permission,
  targetId: string,
): Promise<boolean> {
  if (user.deactivatedAt) return false;
  if (permission === Permission.MANAGE_SYSTEM) return user.isSystemAdmin;
  const channel = await reader.findChannel(targetId);
  if (channel)
    return mayDoInChannel(permission, await standingBefore(reader, user, channel), channel);
  const team = await reader.findTeam(targetId);
  return team !== undefined && mayDoInTeam(permission, await roleIn(reader, user, team.id));
}

function mayDoInChannel(permission: Permission, standing: Standing, channel: Channel): boolean {
  switch (permission) {
    case Permission.READ_CHANNEL:
      return mayReadChannel(standing, channel);
    case Permission.POST_TO_CHANNEL:
      return mayPostToChannel(standing, channel);
    case Permission.MANAGE_CHANNEL:
      return mayManageChannel(standing, channel);
    case Permission.MANAGE_OWN_HOOKS:
      return mayMakeThings(standing.role) && mayReadChannel(standing, channel);
    case Permission.MANAGE_OTHERS_HOOKS:
      return mayManageTeam(standing.role);
    default:
      return false;
  }
}

function mayDoInTeam(permission: Permission, role: TeamRole): boolean {
  switch (permission) {
    case Permission.MANAGE_TEAM:
    case Permission.MANAGE_OTHERS_HOOKS:
      return mayManageTeam(role);
    case Permission.MANAGE_OWN_HOOKS:
      return mayMakeThings(role);
    default:
      return false;
  }
}
