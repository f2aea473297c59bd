/** Rules of who is in a channel. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  AddChannelMemberRequest,
  ListChannelMembersRequest,
  RemoveChannelMemberRequest,
} from "@headgate/proto/registry/v1/management";
import { ChannelMemberSchema, TeamRole } from "@headgate/proto/registry/v1/registry";
import { withdrawAccess } from "./service-access-loss.ts";
import { act, announced, gone, knowActor, missing, readPage, show } from "./service-change.ts";
import { archived, notManager, seeChannel } from "./service-channels.ts";
import type { Deps } from "./service-deps.ts";
import { mayManageChannel, roleIn } from "./service-permissions.ts";

/** Each rule answers its rpc; the proto says what it throws. */
export function createChannelMemberRules(deps: Pick<Deps, "store" | "now" | "createId">) {
  const { store } = deps;
  return { addChannelMember, removeChannelMember, listChannelMembers };

  /** Members of the team may join a public channel; into a private one its managers take them. */
  async function addChannelMember({ actor: asker, channelId, userId }: AddChannelMemberRequest) {
    return await act(deps, asker, async ({ tx, actor, at, record }) => {
      const { channel, standing } = await seeChannel(tx, actor, channelId);
      const user = await tx.findUser(userId);
      const role = user ? await roleIn(tx, user, channel.teamId) : TeamRole.UNSPECIFIED;
      if (!user || role === TeamRole.UNSPECIFIED) throw missing("user");
      if (!mayManageChannel(standing, channel) && user.id !== actor.id) throw notManager();
      if (channel.archivedAt) throw archived();
      const { member, isNew } = await tx.addChannelMember(
        create(ChannelMemberSchema, { channelId, userId, createdAt: timestampFromDate(at) }),
      );
      if (!isNew) return { member, created: false };
      await record({
        action: "channel_member.added",
        subject: `channel_member:${channelId}:${userId}`,
        after: show(ChannelMemberSchema, member),
        announce: [announced({ case: "channelMember", value: member })],
      });
      return { member, created: true };
    });
  }

  /** By the channel's managers, or by the member. Again: not_found. */
  async function removeChannelMember(request: RemoveChannelMemberRequest) {
    const { actor: asker, channelId, userId } = request;
    return await act(deps, asker, async (scene) => {
      const { tx, actor, record } = scene;
      const user = await tx.lockUser(userId);
      const { channel, standing } = await seeChannel(tx, actor, channelId);
      if (userId !== actor.id && !mayManageChannel(standing, channel)) throw notManager();
      const before = await tx.findChannelMember(channelId, userId);
      if (!user || !before || !(await tx.removeChannelMember(channelId, userId))) {
        throw missing("member");
      }
      const subject = `channel_member:${channelId}:${userId}`;
      await record({
        action: "channel_member.removed",
        subject,
        before: show(ChannelMemberSchema, before),
        announce: [gone(subject)],
      });
      await withdrawAccess(scene, user, { teamId: channel.teamId });
      return {};
    });
  }

  async function listChannelMembers({ actor, channelId, page }: ListChannelMembersRequest) {
    const viewer = await knowActor(store, actor);
    const { channel } = await seeChannel(store, viewer, channelId);
    const window = readPage(page);
    return { members: await store.listChannelMembers({ window, channelId: channel.id }) };
  }
}
