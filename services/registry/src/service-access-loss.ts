/**
 * What follows when a person or a bot loses an account, a team, a channel or a role: in the same change their hooks are
 * disabled, their bots lose the same, and the tokens of ended bots are revoked. Nothing comes back by itself.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  HookState,
  type IncomingHook,
  IncomingHookSchema,
  type TeamMember,
  TeamMemberSchema,
  TeamRole,
  type User,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import { announced, gone, type Scene, show, showHook } from "./service-change.ts";
import { unfitReason } from "./service-hook-fitness.ts";
import { mayReadChannel, roleIn, standingBefore } from "./service-permissions.ts";
import { endTokens } from "./service-tokens.ts";

/** Where something was lost; without a team: the account, or a right that holds everywhere. */
export type Loss = { readonly teamId?: string };

/**
 * Withdraws what a user may no longer have, after the loss itself was saved. Each hook, bot and membership that changes
 * has its own audit row and announcement. The caller holds the lock of the user, so that no hook is made meanwhile.
 */
export async function withdrawAccess(scene: Scene, user: User, loss: Loss = {}): Promise<void> {
  await withdraw(scene, user, loss, new Set());
}

/** `seen`: users that this change has dealt with, because a bot may own a bot. */
async function withdraw(scene: Scene, user: User, loss: Loss, seen: Set<string>): Promise<void> {
  if (seen.has(user.id)) return;
  seen.add(user.id);
  for (const bot of await scene.tx.lockBotsOf(user.id)) {
    const isEnded = user.deactivatedAt !== undefined;
    const isLess = isEnded || (await limitBot(scene, user, bot, loss));
    const ended = (isEnded || isLess === "without team") && (await endBot(scene, bot));
    if (isLess) await withdraw(scene, ended || bot, ended ? {} : loss, seen);
  }
  await disableHooks(scene, user, loss);
}

/** Disables the active hooks of a user that could not be made any more, and says why. */
async function disableHooks({ tx, at, record }: Scene, user: User, loss: Loss): Promise<void> {
  const hooks = await tx.lockActiveHooksOf(user.id);
  const reader = remembered(tx);
  for (const before of hooks) {
    if (loss.teamId !== undefined && before.teamId !== loss.teamId) continue;
    const disabledReason = await unfitReason(reader, before);
    if (!disabledReason) continue;
    const hook = create(IncomingHookSchema, {
      ...before,
      state: HookState.DISABLED,
      disabledReason,
      updatedAt: timestampFromDate(at),
    });
    await tx.saveHook(hook);
    await record({
      action: "hook.disabled",
      subject: `hook:${hook.id}`,
      before: showHook(before),
      after: showHook(hook),
      announce: [announced({ case: "hook", value: hook })],
    });
  }
}

/**
 * Takes from a bot what its owner does not have: teams, a role above guest, channels.
 * @returns whether anything was taken; "without team" when the owner is in none of its teams. Such a bot keeps its last
 * membership, so that admins of the team can see it and give it another owner; the caller deactivates it.
 */
export async function limitBot(
  scene: Scene,
  owner: User,
  bot: User,
  { teamId }: Loss = {},
): Promise<boolean | "without team"> {
  const { tx } = scene;
  const members = await tx.findTeamMembersOf(bot.id);
  const roles = await Promise.all(members.map((member) => roleIn(tx, owner, member.teamId)));
  const isNowhere = members.length > 0 && roles.every((role) => role === TeamRole.UNSPECIFIED);
  if (isNowhere) return "without team";
  let isLess = false;
  for (const [at, member] of members.entries()) {
    if (teamId !== undefined && member.teamId !== teamId) continue;
    const isTaken = await limitMember(scene, owner, member, roles[at] ?? TeamRole.UNSPECIFIED);
    isLess ||= isTaken;
  }
  return isLess;
}

/** Limits one membership of a bot to what its owner has in the team. Answers whether anything was taken. */
async function limitMember(
  scene: Scene,
  owner: User,
  before: TeamMember,
  role: TeamRole,
): Promise<boolean> {
  const { tx, record } = scene;
  const { teamId, userId } = before;
  const subject = `team_member:${teamId}:${userId}`;
  if (role === TeamRole.UNSPECIFIED) {
    await removeFromTeam(scene, before);
    return true;
  }
  const isLowered = role === TeamRole.GUEST && before.role !== TeamRole.GUEST;
  if (isLowered) {
    const member = create(TeamMemberSchema, { ...before, role });
    await tx.putTeamMember(member);
    await record({
      action: "team_member.changed",
      subject,
      before: show(TeamMemberSchema, before),
      after: show(TeamMemberSchema, member),
      announce: [announced({ case: "teamMember", value: member })],
    });
  }
  let isLess = isLowered;
  for (const channel of await tx.findChannelsOf(teamId, userId)) {
    if (mayReadChannel(await standingBefore(tx, owner, channel), channel)) continue;
    await tx.removeChannelMember(channel.id, userId);
    const key = `channel_member:${channel.id}:${userId}`;
    await record({ action: "channel_member.removed", subject: key, announce: [gone(key)] });
    isLess = true;
  }
  return isLess;
}

/** Takes a member out of a team and of its channels. The caller has seen that there is one. */
export async function removeFromTeam(
  { tx, record }: Scene,
  { teamId, userId, ...member }: TeamMember,
): Promise<void> {
  await tx.removeTeamMember(teamId, userId);
  const channelIds = await tx.leaveChannels(teamId, userId);
  const subject = `team_member:${teamId}:${userId}`;
  await record({
    action: "team_member.removed",
    subject,
    before: show(TeamMemberSchema, { ...member, teamId, userId }),
    announce: [
      ...channelIds.map((channelId) => gone(`channel_member:${channelId}:${userId}`)),
      gone(subject),
    ],
  });
}

/** Deactivates a bot and ends its tokens. Answers the bot as it is now. */
async function endBot(scene: Scene, before: User): Promise<User> {
  const { tx, at, record } = scene;
  const bot = create(UserSchema, {
    ...before,
    deactivatedAt: timestampFromDate(at),
    updatedAt: timestampFromDate(at),
  });
  await tx.saveUser(bot);
  const ended = await endTokens(scene, { userId: bot.id, onlySessions: false });
  await record({
    action: "bot.deactivated",
    subject: `user:${bot.id}`,
    before: show(UserSchema, before),
    after: show(UserSchema, bot),
    announce: [announced({ case: "user", value: bot }), ...ended],
  });
  return bot;
}

/** Ends the bots that were made for hooks which are no more, unless another hook or a token uses them. */
export async function endBotsOf(scene: Scene, hookIds: readonly string[]): Promise<void> {
  if (hookIds.length === 0) return;
  for (const bot of await scene.tx.lockIdleBotsOf(hookIds)) {
    await withdrawAccess(scene, await endBot(scene, bot));
  }
}

/**
 * Brings back the bot that was made for a hook, where its end is all that stands between the hook and its use: after the
 * hook got another owner, or after its owner came back.
 */
export async function reviveBot(scene: Scene, hook: IncomingHook): Promise<void> {
  const { tx, at, record } = scene;
  const before = hook.botId === "" ? undefined : await tx.lockUser(hook.botId);
  if (!before || before.madeForHookId !== hook.id || before.ownerId !== hook.ownerId) return;
  const found = await tx.findTeamMember(hook.teamId, before.id);
  if (!before.deactivatedAt && found) return;
  const bot = create(UserSchema, {
    ...before,
    deactivatedAt: undefined,
    updatedAt: timestampFromDate(at),
  });
  await tx.saveUser(bot);
  const { member } = await tx.putTeamMember(
    create(TeamMemberSchema, {
      teamId: hook.teamId,
      userId: bot.id,
      role: found?.role ?? TeamRole.MEMBER,
      createdAt: timestampFromDate(at),
    }),
  );
  await record({
    action: "bot.reactivated",
    subject: `user:${bot.id}`,
    before: show(UserSchema, before),
    after: show(UserSchema, bot),
    announce: [
      announced({ case: "user", value: bot }),
      announced({ case: "teamMember", value: member }),
    ],
  });
}

type Reads = Parameters<typeof unfitReason>[0];

/** The same reads, each answer kept: the hooks of one owner name the same few teams and channels. */
function remembered(reader: Reads): Reads {
  return {
    findUser: once(reader.findUser),
    findTeamMember: once(reader.findTeamMember),
    findChannel: once(reader.findChannel),
    findChannelMember: once(reader.findChannelMember),
  };
}

function once<Ids extends string[], Thing>(
  read: (...ids: Ids) => Promise<Thing>,
): (...ids: Ids) => Promise<Thing> {
  const known = new Map<string, Promise<Thing>>();
  return (...ids) => {
    const key = ids.join(" ");
    const answer = known.get(key) ?? read(...ids);
    known.set(key, answer);
    return answer;
  };
}
