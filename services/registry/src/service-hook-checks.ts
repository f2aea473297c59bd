/** What an incoming hook may be: its form, and who and what it names. Every fault goes into one list. */
import {
  HookAction,
  type IncomingHook,
  TeamRole,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { DIALECTS } from "./credential.ts";
import type { Faults } from "./faults.ts";
import { forbidden } from "./service-change.ts";
import type { Changes, Deps } from "./service-deps.ts";
import { unfitReason } from "./service-hook-fitness.ts";
import {
  mayMakeThings,
  mayManageTeam,
  mayReadChannel,
  maySeeUser,
  roleIn,
  standingBefore,
} from "./service-permissions.ts";

/** Code points of a hook's texts. */
const NAME_MAX = 255;
const DESCRIPTION_MAX = 500;
const OVERRIDE_NAME_MAX = 64;
const OVERRIDE_ICON_MAX = 1_024;
const PER_MINUTE_MAX = 6_000_000;
const BURST_MAX = 1_000_000;

/** Actions that a service of this release takes: hooks for others would only be refused later. */
export const SERVED_ACTIONS: ReadonlySet<HookAction> = new Set([HookAction.CHAT_MESSAGE]);

/** The action as the native API writes it. */
const ACTION_NAMES: Readonly<Record<number, string>> = {
  [HookAction.CHAT_MESSAGE]: "chat_message",
  [HookAction.DIRECT_MESSAGE]: "direct_message",
  [HookAction.WALL_POST]: "wall_post",
  [HookAction.CALENDAR_ENTRY]: "calendar_entry",
};

function namesOf(actions: ReadonlySet<HookAction>): string {
  return [...actions].map((action) => ACTION_NAMES[action]).join(" or ");
}

/** What can be said of a hook without looking at anything else. */
export function checkHookForm(
  faults: Faults,
  hook: IncomingHook,
  { isOwnerWriter, servedActions }: { isOwnerWriter: boolean } & Pick<Deps, "servedActions">,
): void {
  const form = DIALECTS.get(hook.dialect);
  faults.check(form !== undefined, "/dialect", `must be one of ${[...DIALECTS.keys()].join(", ")}`);
  const actionName = ACTION_NAMES[hook.action];
  if (actionName === undefined) {
    faults.add("/action", `must be one of ${Object.values(ACTION_NAMES).join(", ")}`);
  } else if (!servedActions.has(hook.action)) {
    faults.add("/action", `${actionName} is not served here: choose ${namesOf(servedActions)}`);
  } else if (form && !form.actions.includes(hook.action)) {
    faults.add("/action", `${actionName} is not an action of ${hook.dialect} hooks`);
  }
  if (hook.action === HookAction.DIRECT_MESSAGE) {
    faults.check(!isOwnerWriter, "/bot_id", "a direct message is always written by a bot");
  }
  faults.text("/name", hook.name, { min: form?.isNameOptional ? 0 : 1, max: NAME_MAX });
  faults.text("/description", hook.description, { min: 0, max: DESCRIPTION_MAX });
  faults.text("/override_name", hook.overrideName, { min: 0, max: OVERRIDE_NAME_MAX });
  // Not checked as a URL: Mattermost, whose field this is, takes any text.
  faults.text("/override_icon_url", hook.overrideIconUrl, { min: 0, max: OVERRIDE_ICON_MAX });
  if (!hook.limits) return;
  const { perMinute, burst } = hook.limits;
  const isRate = perMinute >= 1 && perMinute <= PER_MINUTE_MAX;
  faults.check(isRate, "/limits/per_minute", `must be from 1 to ${PER_MINUTE_MAX}`);
  faults.check(burst >= 1 && burst <= BURST_MAX, "/limits/burst", `must be from 1 to ${BURST_MAX}`);
}

/** The owner that was asked for, locked; the actor where nobody was, or in place of a faulty one. */
export async function checkOwner(
  faults: Faults,
  tx: Changes,
  actor: User,
  ownerId: string,
): Promise<User> {
  // Locked, so that the owner loses nothing while the hook is being made.
  const owner = await tx.lockUser(ownerId || actor.id);
  if (owner?.id === actor.id && !owner.deactivatedAt) return owner;
  if (owner && !owner.deactivatedAt && (await maySeeUser(tx, actor, owner))) {
    // A hook writes as its owner: who could name any owner could speak as a system admin.
    if (!owner.isSystemAdmin || actor.isSystemAdmin) return owner;
    throw forbidden("hook_owner_forbidden", "Only system admins make hooks for system admins.");
  }
  faults.add("/owner_id", "there is no such user");
  return actor;
}

type Asked = {
  faults: Faults;
  tx: Changes;
  actor: User;
  owner: User;
  hook: IncomingHook;
  /** The hook as it was, on a change: only what differs is looked at, and the team stays. */
  before?: IncomingHook;
};

/**
 * Looks at the target and the bot of a hook. Answers the team it belongs to; undefined when a fault left none.
 * @throws AppError permission_denied for who sees the target but may not make hooks there, or not for others
 */
export async function checkHook(asked: Asked): Promise<string | undefined> {
  const { hook, before, tx, actor, owner } = asked;
  const isMoved = hook.targetId !== before?.targetId;
  const teamId = isMoved ? await checkTarget(asked) : before?.teamId;
  if (teamId === undefined) return undefined;
  const role = await roleIn(tx, actor, teamId);
  if (!mayMakeThings(role)) throw forbidden("hook_manage_forbidden", "Guests make no hooks.");
  if (owner.id !== actor.id && !mayManageTeam(role)) {
    throw forbidden("hook_owner_forbidden", "Only admins of the team make hooks for others.");
  }
  if (hook.botId !== "" && hook.botId !== before?.botId) await checkBot(asked, teamId, role);
  return teamId;
}

/**
 * Looks at the new owner of a hook that is there.
 * @throws AppError permission_denied unless the actor is an admin of the team
 */
export async function checkNewOwner({ faults, tx, actor, owner, hook }: Asked): Promise<void> {
  if (!mayManageTeam(await roleIn(tx, actor, hook.teamId))) {
    throw forbidden("hook_owner_forbidden", "Only admins of the team give a hook another owner.");
  }
  const reason = await unfitReason(tx, { ...hook, ownerId: owner.id, botId: "" });
  faults.check(!reason, "/owner_id", "may not have hooks in this channel");
}

function checkTarget(asked: Asked): Promise<string | undefined> {
  switch (asked.hook.action) {
    case HookAction.CHAT_MESSAGE:
      return checkChannelTarget(asked);
    case HookAction.DIRECT_MESSAGE:
      return checkUserTarget(asked);
    default:
      return Promise.resolve(undefined);
  }
}

async function checkChannelTarget({ faults, tx, actor, owner, hook, before }: Asked) {
  const pointer = "/target/channel_id";
  // Locked, so that nobody archives it under the hook that is being made.
  const channel = await tx.lockChannel(hook.targetId);
  const isSeen = channel && mayReadChannel(await standingBefore(tx, actor, channel), channel);
  if (!channel || !isSeen) {
    faults.add(pointer, "there is no such channel");
    return undefined;
  }
  faults.check(!channel.archivedAt, pointer, "is archived");
  const isSameTeam = before === undefined || before.teamId === channel.teamId;
  faults.check(isSameTeam, pointer, "must be in the team of the hook");
  if (isSameTeam && owner.id !== actor.id) {
    const standing = await standingBefore(tx, owner, channel);
    const isFit = mayReadChannel(standing, channel) && mayMakeThings(standing.role);
    // On a change it is the target that was chosen, not the owner.
    const [at, fault] = before
      ? [pointer, "is closed to the owner of the hook"]
      : ["/owner_id", "may not have hooks in this channel"];
    faults.check(isFit, at, fault);
  }
  return isSameTeam ? channel.teamId : undefined;
}

/** A hook to a person belongs to the first team that the owner and the person share. */
async function checkUserTarget({ faults, tx, actor, owner, hook, before }: Asked) {
  const pointer = "/target/user_id";
  const user = await tx.findUser(hook.targetId);
  if (!user || user.isBot || user.deactivatedAt || !(await maySeeUser(tx, actor, user))) {
    faults.add(pointer, "there is no such person");
    return undefined;
  }
  if (before) {
    const role = await roleIn(tx, user, before.teamId);
    const isFit = role !== TeamRole.UNSPECIFIED;
    return faults.check(isFit, pointer, "must be in the team of the hook")
      ? before.teamId
      : undefined;
  }
  const team = await tx.findSharedTeam(owner.id, user.id);
  faults.check(team !== undefined, pointer, "shares no team with the owner of the hook");
  return team?.id;
}

async function checkBot({ faults, tx, actor, owner, hook }: Asked, teamId: string, role: TeamRole) {
  const pointer = "/bot_id";
  const bot = await tx.findUser(hook.botId);
  const botRole = bot ? await roleIn(tx, bot, teamId) : TeamRole.UNSPECIFIED;
  if (!bot?.isBot || botRole === TeamRole.UNSPECIFIED) {
    faults.add(pointer, "there is no such bot in the team");
    return;
  }
  const isMine = bot.ownerId === actor.id || bot.ownerId === owner.id || bot.id === actor.id;
  faults.check(isMine || mayManageTeam(role), pointer, "is somebody else's bot");
}
