/** Who owns a bot: giving it another owner, and whether its owner may have it in its teams. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import {
  type IncomingHook,
  TeamRole,
  type User,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import type { Faults } from "./faults.ts";
import { limitBot } from "./service-access-loss.ts";
import { announced, forbidden, missing, type Scene, show } from "./service-change.ts";
import type { Changes, Reader } from "./service-deps.ts";
import { mayMakeThings, mayManageTeam, maySeeUser, roleIn } from "./service-permissions.ts";
import { endTokens } from "./service-tokens.ts";

/**
 * System admins, and admins of every team of the bot. A bot without a team is for system admins.
 * @throws AppError not_found where the actor may not see the bot, permission_denied where not give it away
 */
export async function mayHandOver(reader: Reader, actor: User, id: string): Promise<void> {
  const bot = await reader.findUser(id);
  if (!bot || !(await maySeeUser(reader, actor, bot))) throw missing("user");
  if (actor.isSystemAdmin) return;
  const roles = await rolesInTeamsOf(reader, actor, bot);
  if (roles.length > 0 && roles.every(mayManageTeam)) return;
  throw forbidden("bot_owner_forbidden", "Only admins of all teams of the bot may do this.");
}

/** The new owner of a bot, locked: an active person who may make bots in each of its teams. */
export async function checkBotOwner(
  faults: Faults,
  tx: Changes,
  { actor, bot, ownerId }: { actor: User; bot: User; ownerId: string },
): Promise<User | undefined> {
  const pointer = "/owner_id";
  if (!faults.check(bot.isBot, pointer, "must be absent for a person")) return undefined;
  const owner = await tx.lockUser(ownerId);
  const isPerson = owner !== undefined && !owner.isBot && !owner.deactivatedAt;
  if (!isPerson || !(await maySeeUser(tx, actor, owner))) {
    faults.add(pointer, "there is no such person");
    return undefined;
  }
  const roles = await rolesInTeamsOf(tx, owner, bot);
  faults.check(roles.every(mayMakeThings), pointer, "must be a member of every team of the bot");
  return owner;
}

/**
 * What follows when a bot that was saved has another owner: its tokens end, because the former owner knows them, and it
 * leaves the channels that the new owner may not read. Answers what to announce.
 */
export async function afterHandOver(scene: Scene, bot: User, owner: User) {
  await limitBot(scene, owner, bot);
  return await endTokens(scene, { userId: bot.id, onlySessions: false });
}

/** Gives the bot that was made for a hook to the hook's new owner; it stays deactivated if it is. */
export async function handOverBot(scene: Scene, owner: User, hook: IncomingHook): Promise<void> {
  const { tx, at, record } = scene;
  const before = hook.botId === "" ? undefined : await tx.lockUser(hook.botId);
  if (before?.madeForHookId !== hook.id || before.ownerId === owner.id) return;
  const bot = create(UserSchema, {
    ...before,
    ownerId: owner.id,
    updatedAt: timestampFromDate(at),
  });
  await tx.saveUser(bot);
  const ended = await afterHandOver(scene, bot, owner);
  await record({
    action: "bot.handed_over",
    subject: `user:${bot.id}`,
    before: show(UserSchema, before),
    after: show(UserSchema, bot),
    announce: [announced({ case: "user", value: bot }), ...ended],
  });
}

/**
 * @throws AppError failed_precondition `bot_owner_unfit` when a bot must not be active, because its owner is deactivated
 * or is not in all of its teams
 */
export async function checkBotMayBeActive(tx: Changes, bot: User): Promise<void> {
  const owner = await tx.lockUser(bot.ownerId);
  const roles = owner ? await rolesInTeamsOf(tx, owner, bot) : [];
  const isFit = owner && !owner.deactivatedAt && !roles.includes(TeamRole.UNSPECIFIED);
  if (isFit) return;
  const message =
    "The owner of the bot is deactivated or not in its team. Give it another owner first.";
  throw new AppError("failed_precondition", "bot_owner_unfit", message);
}

async function rolesInTeamsOf(reader: Reader, user: User, bot: User): Promise<TeamRole[]> {
  const members = await reader.findTeamMembersOf(bot.id);
  return await Promise.all(members.map(({ teamId }) => roleIn(reader, user, teamId)));
}
