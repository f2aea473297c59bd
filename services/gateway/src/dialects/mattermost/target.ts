/** Where a delivery goes: the hook's own channel, or the one that the payload names, if the hook and its owner may. */
import type { Channel } from "@headgate/proto/registry/v1/registry";
import type { Gate, Hook } from "../../dialect.ts";
import { findLoss, isChannelMember, type Loss } from "../../ingest/owner.ts";
import { refusal } from "./errors.ts";
import { uuidOfId } from "./id.ts";

/** Handle of a channel; what does not look like one is not asked for. */
const CHANNEL_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
/**
 * What losses are answered with. That the owner left the hook's own private channel counts only where the payload goes there,
 * which is asked of every private channel.
 */
const LOSSES: Readonly<Record<Loss, "owner_gone" | "channel_forbidden" | undefined>> = {
  owner_missing: "owner_gone",
  owner_deactivated: "owner_gone",
  writer_missing: "owner_gone",
  writer_deactivated: "owner_gone",
  owner_left_team: "channel_forbidden",
  owner_is_guest: "channel_forbidden",
  owner_left_channel: undefined,
};

/**
 * The channel to write to.
 * @throws AppError `direct_target`, `channel_unknown`, `channel_gone`, `channel_locked`, `owner_gone`, `channel_forbidden`,
 * in the order of Mattermost's checks
 */
export async function findTarget(gate: Gate, hook: Hook, override: string): Promise<Channel> {
  const channel = override === "" ? ownChannel(hook) : await namedChannel(gate, hook, override);
  if (hook.record.targetLocked && channel.id !== hook.record.targetId) {
    throw refusal("channel_locked");
  }
  const loss = await findLoss(gate, hook);
  const reason = loss && LOSSES[loss];
  if (reason) throw refusal(reason);
  if (channel.isPrivate && !(await isChannelMember(gate, channel, hook.record.ownerId))) {
    throw refusal("channel_forbidden");
  }
  return channel;
}

/**
 * The UUID of the message that a `root_id` names; empty for an empty one.
 * @throws AppError `root_invalid` when it is malformed, unknown, in another channel, or itself a reply
 */
export async function findRoot(gate: Gate, rootId: string, channelId: string): Promise<string> {
  if (rootId === "") return "";
  const id = uuidOfId(rootId);
  if (id === undefined) throw refusal("root_invalid");
  const root = (await gate.getMessages([id])).find((message) => message.id === id);
  if (!root || root.channelId !== channelId || root.rootId !== "") throw refusal("root_invalid");
  return id;
}

function ownChannel({ channel }: Hook): Channel {
  if (!channel || channel.archivedAt) throw refusal("channel_gone");
  return channel;
}

async function namedChannel(gate: Gate, hook: Hook, override: string): Promise<Channel> {
  if (override.startsWith("@")) {
    throw refusal(hook.record.targetLocked ? "channel_locked" : "direct_target");
  }
  const name = override.startsWith("#") ? override.slice(1) : override;
  if (!CHANNEL_NAME.test(name)) throw refusal("channel_unknown");
  const { teamId } = hook.record;
  const channel =
    gate.directory.channelByName(teamId, name) ?? (await gate.lookUpChannel(teamId, name));
  if (!channel || channel.archivedAt) throw refusal("channel_unknown");
  return channel;
}
