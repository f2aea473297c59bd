/**
 * Whether the people behind a hook may still write: what a person loses, their hooks lose at once, in every dialect. The
 * registry disables such hooks too; here it holds from the moment that the registry cache knows of the loss.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Channel, TeamRole } from "@headgate/proto/registry/v1/registry";
import type { Directory, Gate, Hook } from "../dialect.ts";

/** What a hook lost; `owner_missing` and `writer_missing`: the account is not there at all. */
export type Loss =
  | "owner_missing"
  | "owner_deactivated"
  | "owner_left_team"
  | "owner_is_guest"
  | "owner_left_channel"
  | "writer_missing"
  | "writer_deactivated";

/** ms after its making in which the memberships around a thing may not be known here yet. */
const NEW_MS = 5_000;
/** How often and how long the news of a membership is waited for: 500 ms in all. */
const NEWS_TRIES = 20;
const NEWS_PAUSE_MS = 25;

/**
 * What the people behind a hook lost; undefined: nothing. Of a hook or channel that was made a moment ago, the memberships
 * may come later than the thing itself: they are given 500 ms.
 */
export function findLoss(gate: Gate, hook: Hook): Loss | undefined | Promise<Loss | undefined> {
  const loss = lossNow(gate.directory, hook);
  if (loss !== "owner_left_team" && loss !== "owner_left_channel") return loss;
  if (!isNew(gate, hook.record.createdAt) && !isNew(gate, hook.channel?.createdAt)) return loss;
  return awaitNews(() => lossNow(gate.directory, hook));
}

/** Whether a user is in a channel, which may have been found by name before the news of its members came. */
export async function isChannelMember(
  gate: Gate,
  channel: Channel,
  userId: string,
): Promise<boolean> {
  const find = () => (gate.directory.isChannelMember(channel.id, userId) ? undefined : "absent");
  const absent = find();
  if (absent === undefined || !isNew(gate, channel.createdAt)) return absent === undefined;
  return (await awaitNews(find)) === undefined;
}

function lossNow(directory: Directory, { record, owner, bot, channel }: Hook): Loss | undefined {
  if (!owner) return "owner_missing";
  if (owner.deactivatedAt) return "owner_deactivated";
  if (record.botId !== "") {
    if (!bot) return "writer_missing";
    if (bot.deactivatedAt) return "writer_deactivated";
  }
  if (owner.isSystemAdmin) return undefined;
  const role = directory.teamRole(record.teamId, owner.id);
  if (role === TeamRole.ADMIN) return undefined;
  if (role === TeamRole.UNSPECIFIED) return "owner_left_team";
  if (role === TeamRole.GUEST) return "owner_is_guest";
  const isClosed = channel?.isPrivate && !directory.isChannelMember(channel.id, owner.id);
  return isClosed ? "owner_left_channel" : undefined;
}

function isNew({ now }: Gate, createdAt: Channel["createdAt"]): boolean {
  return createdAt !== undefined && now().getTime() - timestampMs(createdAt) < NEW_MS;
}

/** What `find` answers once that is undefined, or at the end of the wait. */
async function awaitNews<T>(find: () => T | undefined): Promise<T | undefined> {
  let found = find();
  for (let left = NEWS_TRIES; left > 0 && found !== undefined; left--) {
    await sleep(NEWS_PAUSE_MS);
    found = find();
  }
  return found;
}
