/** Whether the owner and the bot of a hook may still have it. */
import { AppError } from "@headgate/kit/errors";
import {
  HookAction,
  HookDisabledReason,
  type IncomingHook,
  TeamRole,
} from "@headgate/proto/registry/v1/registry";
import type { Reader } from "./service-deps.ts";
import { mayMakeThings, mayReadChannel, roleIn, standingBefore } from "./service-permissions.ts";

/** Why a hook must not be active; UNSPECIFIED: it may. The target itself (archived, deactivated) is not looked at. */
export async function unfitReason(
  reader: Pick<Reader, "findUser" | "findTeamMember" | "findChannel" | "findChannelMember">,
  hook: IncomingHook,
): Promise<HookDisabledReason> {
  const owner = await reader.findUser(hook.ownerId);
  if (!owner || owner.deactivatedAt) return HookDisabledReason.OWNER_DEACTIVATED;
  const role = await roleIn(reader, owner, hook.teamId);
  if (role === TeamRole.UNSPECIFIED) return HookDisabledReason.OWNER_LEFT;
  if (!mayMakeThings(role)) return HookDisabledReason.OWNER_ROLE;
  const isChat = hook.action === HookAction.CHAT_MESSAGE;
  const channel = isChat ? await reader.findChannel(hook.targetId) : undefined;
  if (channel && !mayReadChannel(await standingBefore(reader, owner, channel), channel)) {
    return HookDisabledReason.OWNER_LEFT;
  }
  if (hook.botId === "") return HookDisabledReason.UNSPECIFIED;
  const bot = await reader.findUser(hook.botId);
  if (!bot || bot.deactivatedAt) return HookDisabledReason.BOT_DEACTIVATED;
  const botRole = await roleIn(reader, bot, hook.teamId);
  return botRole === TeamRole.UNSPECIFIED
    ? HookDisabledReason.BOT_LEFT
    : HookDisabledReason.UNSPECIFIED;
}

const WORDS: Readonly<Record<HookDisabledReason, string>> = {
  [HookDisabledReason.UNSPECIFIED]: "",
  [HookDisabledReason.OWNER_DEACTIVATED]:
    "The account of the hook's owner is deactivated. Give the hook another owner first.",
  [HookDisabledReason.OWNER_LEFT]:
    "The hook's owner may not read the channel any more. Give the hook another owner first.",
  [HookDisabledReason.OWNER_ROLE]:
    "The role of the hook's owner allows no hooks. Give the hook another owner first.",
  [HookDisabledReason.BOT_DEACTIVATED]:
    "The hook's bot is deactivated. Reactivate it, or give the hook another bot first.",
  [HookDisabledReason.BOT_LEFT]:
    "The hook's bot is not in the team. Add it, or give the hook another bot first.",
};

/** @throws AppError failed_precondition `hook_owner_unfit` or `hook_bot_unfit`: the hook must not be active */
export async function checkFitness(reader: Reader, hook: IncomingHook): Promise<void> {
  const reason = await unfitReason(reader, hook);
  if (!reason) return;
  const isOfBot =
    reason === HookDisabledReason.BOT_DEACTIVATED || reason === HookDisabledReason.BOT_LEFT;
  const name = isOfBot ? "hook_bot_unfit" : "hook_owner_unfit";
  throw new AppError("failed_precondition", name, WORDS[reason] ?? "");
}
