/** Rules of channels. Who is in them: service-channel-members.ts. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import type {
  ArchiveChannelRequest,
  CreateChannelRequest,
  GetChannelRequest,
  ListChannelsRequest,
  UpdateChannelRequest,
} from "@headgate/proto/registry/v1/management";
import {
  type Channel,
  ChannelMemberSchema,
  ChannelSchema,
  TeamRole,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { DIALECTS } from "./credential.ts";
import { createFaults, type Faults } from "./faults.ts";
import { endBotsOf } from "./service-access-loss.ts";
import {
  act,
  announced,
  createOnce,
  forbidden,
  gone,
  knowActor,
  missing,
  readPage,
  show,
} from "./service-change.ts";
import type { Deps, Reader } from "./service-deps.ts";
import {
  mayMakeThings,
  mayManageChannel,
  mayReadChannel,
  roleIn,
  type Standing,
  standingBefore,
} from "./service-permissions.ts";
import { seeTeam } from "./service-teams.ts";

/** Dialects whose hooks are deleted with their channel. */
const DIALECTS_ENDING: readonly string[] = [...DIALECTS].flatMap(([name, form]) =>
  form.endsWithTarget ? [name] : [],
);

/** Pattern of a channel's handle. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
/** Code points of a display name. */
const DISPLAY_NAME_MAX = 128;

/** Each rule answers its rpc; the proto says what it throws. */
export function createChannelRules(deps: Pick<Deps, "store" | "now" | "createId">) {
  const { store } = deps;
  return {
    createChannel,
    getChannel,
    listChannels,
    updateChannel,
    archiveChannel,
  };

  /** By members of the team; the maker is in it. */
  async function createChannel(request: CreateChannelRequest) {
    return await createOnce(
      deps,
      { kind: "channel", id: request.id, actor: request.actor },
      async () => ({ channel: await makeChannel(request), existed: false }),
      async (id) => ({ ...(await getChannel({ actor: request.actor, id })), existed: true }),
    );
  }

  async function makeChannel(request: CreateChannelRequest): Promise<Channel> {
    const number = await store.reserveNumbers(1);
    return await act(deps, request.actor, async ({ tx, actor, at, record }) => {
      const faults = createFaults();
      faults.id("/id", request.id);
      const shown = request.displayName || request.name;
      checkChannel(faults, { name: request.name, displayName: shown });
      const team = await tx.findTeam(request.teamId);
      const role = team ? await roleIn(tx, actor, team.id) : TeamRole.UNSPECIFIED;
      faults.check(role !== TeamRole.UNSPECIFIED, "/team_id", "there is no such team");
      faults.throwAny();
      if (!mayMakeThings(role)) {
        throw forbidden("channel_create_forbidden", "Guests make no channels.");
      }
      const channel = create(ChannelSchema, {
        id: request.id || deps.createId(),
        number,
        teamId: request.teamId,
        name: request.name,
        displayName: shown,
        isPrivate: request.isPrivate,
        creatorId: actor.id,
        createdAt: timestampFromDate(at),
        updatedAt: timestampFromDate(at),
      });
      const maker = create(ChannelMemberSchema, {
        channelId: channel.id,
        userId: actor.id,
        createdAt: timestampFromDate(at),
      });
      channel.position = await tx.insertChannel(channel);
      const { member } = await tx.addChannelMember(maker);
      await record({
        action: "channel.created",
        subject: `channel:${channel.id}`,
        after: show(ChannelSchema, channel),
        announce: [
          announced({ case: "channel", value: channel }),
          announced({ case: "channelMember", value: member }),
        ],
      });
      return channel;
    });
  }

  async function getChannel({ actor, id }: Pick<GetChannelRequest, "actor" | "id">) {
    const viewer = await knowActor(store, actor);
    return { channel: (await seeChannel(store, viewer, id)).channel };
  }

  /** Archived ones too: they say so. */
  async function listChannels({ actor, page, teamId, name }: ListChannelsRequest) {
    const viewer = await knowActor(store, actor);
    const window = readPage(page);
    if (teamId !== "") await seeTeam(store, viewer, teamId);
    const viewerId = viewer.isSystemAdmin ? undefined : viewer.id;
    const channels = await store.listChannels({
      window,
      teamId: teamId || undefined,
      viewerId,
      name: name || undefined,
    });
    return { channels };
  }

  async function updateChannel(request: UpdateChannelRequest) {
    return await act(deps, request.actor, async ({ tx, actor, at, record }) => {
      const before = await tx.lockChannel(request.id);
      await manageLiveChannel(tx, actor, request.id);
      if (!before) throw missing("channel");
      const channel = create(ChannelSchema, {
        ...before,
        name: request.name ?? before.name,
        displayName: request.displayName ?? before.displayName,
        updatedAt: timestampFromDate(at),
      });
      const faults = createFaults();
      checkChannel(faults, channel);
      faults.throwAny();
      await tx.saveChannel(channel);
      await record({
        action: "channel.updated",
        subject: `channel:${channel.id}`,
        before: show(ChannelSchema, before),
        after: show(ChannelSchema, channel),
        announce: [announced({ case: "channel", value: channel })],
      });
      return { channel };
    });
  }

  /** Deletes the hooks that write into it of the dialects that have it so. Again: nothing happens. */
  async function archiveChannel({ actor: asker, id }: ArchiveChannelRequest) {
    return await act(deps, asker, async (scene) => {
      const { tx, actor, at, record } = scene;
      const before = await tx.lockChannel(id);
      await manageChannel(tx, actor, id);
      if (!before) throw missing("channel");
      if (before.archivedAt) return {};
      const channel = create(ChannelSchema, {
        ...before,
        updatedAt: timestampFromDate(at),
        archivedAt: timestampFromDate(at),
      });
      await tx.saveChannel(channel);
      const hookIds = await tx.deleteHooksOf(id, DIALECTS_ENDING);
      await record({
        action: "channel.archived",
        subject: `channel:${id}`,
        before: show(ChannelSchema, before),
        after: { ...Object(show(ChannelSchema, channel)), deleted_hooks: hookIds },
        announce: [
          announced({ case: "channel", value: channel }),
          ...hookIds.map((hookId) => gone(`hook:${hookId}`)),
        ],
      });
      await endBotsOf(scene, hookIds);
      return {};
    });
  }
}

/** A channel that the viewer may read, and how the viewer stands. @throws AppError not_found `channel_unknown` */
export async function seeChannel(
  reader: Reader,
  viewer: User,
  id: string,
): Promise<{ channel: Channel; standing: Standing }> {
  const channel = await reader.findChannel(id);
  const standing = channel && (await standingBefore(reader, viewer, channel));
  if (!channel || !standing || !mayReadChannel(standing, channel)) throw missing("channel");
  return { channel, standing };
}

async function manageChannel(reader: Reader, actor: User, id: string): Promise<Channel> {
  const { channel, standing } = await seeChannel(reader, actor, id);
  if (!mayManageChannel(standing, channel)) throw notManager();
  return channel;
}

async function manageLiveChannel(reader: Reader, actor: User, id: string): Promise<void> {
  if ((await manageChannel(reader, actor, id)).archivedAt) throw archived();
}

/** @returns the refusal for who sees a channel but does not manage it */
export function notManager(): AppError {
  return forbidden("channel_manage_forbidden", "Only who manages the channel may do this.");
}

/** @returns the refusal of changes to an archived channel */
export function archived(): AppError {
  return new AppError("failed_precondition", "channel_archived", "The channel is archived.");
}

function checkChannel(faults: Faults, channel: { name: string; displayName: string }): void {
  faults.check(NAME.test(channel.name), "/name", `must match ${NAME.source}`);
  faults.text("/display_name", channel.displayName, { min: 1, max: DISPLAY_NAME_MAX });
}
