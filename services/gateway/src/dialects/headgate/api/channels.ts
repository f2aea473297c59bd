/** Channels and who is in them: /channels. */
import type { Channel, ChannelMember } from "@headgate/proto/registry/v1/registry";
import { Type } from "typebox";
import { created, createdSpec } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import {
  closed,
  DisplayName,
  Handle,
  Id,
  nullable,
  numberOrNull,
  pageOf,
  Time,
  textOrNull,
  timeOrNull,
} from "./forms.ts";
import { named } from "./named.ts";
import { need } from "./need.ts";
import { isShort, nameQuery, pageQuery, renderPage, toPage } from "./page.ts";
import { type AnyRoute, route } from "./route.ts";

const tag = "channels";
const params = { channel_id: "channel" };

const ChannelForm = named(
  "Channel",
  Type.Object({
    id: Id,
    number: nullable(Type.Integer()),
    team_id: Id,
    name: Handle,
    display_name: nullable(Type.String()),
    is_private: Type.Boolean(),
    creator_id: nullable(Id),
    created_at: nullable(Time),
    updated_at: nullable(Time),
    archived_at: nullable(Time),
  }),
);

const MemberForm = named(
  "ChannelMember",
  Type.Object({ channel_id: Id, user_id: Id, created_at: nullable(Time) }),
);

/** The routes of channels. */
export function createChannelRoutes({ management }: Pick<ApiDeps, "management">): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/channels",
      operationId: "listChannels",
      summary: "Channels that the caller may read, archived ones too.",
      tag,
      query: closed({ ...pageQuery, ...nameQuery, team_id: Type.Optional(Id) }),
      responses: { 200: { description: "A page of them.", schema: pageOf(ChannelForm) } },
      problems: [404],
      async handler({ actor, query }) {
        const asked = {
          actor,
          page: toPage(query),
          teamId: query.team_id ?? "",
          name: query.name ?? "",
        };
        const { channels } = await management.listChannels(asked);
        const isLast = isShort(query, channels);
        const form = { render: renderChannel, isLast };
        return { status: 200, body: renderPage(query, channels, form) };
      },
    }),
    route({
      method: "post",
      path: "/channels",
      operationId: "createChannel",
      summary: "Makes a channel; the caller is in it.",
      tag,
      body: closed({
        team_id: Id,
        name: Handle,
        display_name: Type.Optional(DisplayName),
        is_private: Type.Optional(Type.Boolean()),
      }),
      responses: { 201: createdSpec("channel", "The channel.", ChannelForm) },
      problems: [403, 409],
      async handler({ actor, body, newId }) {
        const { channel, existed } = await management.createChannel({
          actor,
          id: newId,
          teamId: body.team_id,
          name: body.name,
          displayName: body.display_name ?? "",
          isPrivate: body.is_private ?? false,
        });
        const made = need(channel);
        return created(`/channels/${made.id}`, renderChannel(made), existed);
      },
    }),
    route({
      method: "get",
      path: "/channels/{channel_id}",
      operationId: "getChannel",
      summary: "One channel.",
      tag,
      params,
      responses: { 200: { description: "The channel.", schema: ChannelForm } },
      async handler({ actor, params: { channel_id: id = "" } }) {
        const { channel } = await management.getChannel({ actor, id });
        return { status: 200, body: renderChannel(need(channel)) };
      },
    }),
    route({
      method: "patch",
      path: "/channels/{channel_id}",
      operationId: "updateChannel",
      summary: "Changes what is given.",
      tag,
      params,
      body: closed({
        name: Type.Optional(Handle),
        display_name: Type.Optional(DisplayName),
      }),
      responses: { 200: { description: "The channel.", schema: ChannelForm } },
      problems: [403, 409],
      async handler({ actor, body, params: { channel_id: id = "" } }) {
        const { channel } = await management.updateChannel({
          actor,
          id,
          name: body.name,
          displayName: body.display_name,
        });
        return { status: 200, body: renderChannel(need(channel)) };
      },
    }),
    route({
      method: "delete",
      path: "/channels/{channel_id}",
      operationId: "archiveChannel",
      summary:
        "Archives: it can be read, not written. Its hooks refuse events; those of Mattermost are deleted.",
      tag,
      params,
      responses: { 204: { description: "Done; again: done." } },
      problems: [403, 409],
      async handler({ actor, params: { channel_id: id = "" } }) {
        await management.archiveChannel({ actor, id });
        return { status: 204 };
      },
    }),
    route({
      method: "get",
      path: "/channels/{channel_id}/members",
      operationId: "listChannelMembers",
      summary: "Who is in the channel, by user id.",
      tag,
      params,
      query: closed(pageQuery),
      responses: { 200: { description: "A page of them.", schema: pageOf(MemberForm) } },
      async handler({ actor, query, params: { channel_id: channelId = "" } }) {
        const asked = { actor, channelId, page: toPage(query) };
        const { members } = await management.listChannelMembers(asked);
        const isLast = isShort(query, members);
        const form = { render: renderMember, isLast };
        return { status: 200, body: renderPage(query, members, form) };
      },
    }),
    route({
      method: "post",
      path: "/channels/{channel_id}/members",
      operationId: "addChannelMember",
      summary: "Adds a member of the team.",
      tag,
      params,
      body: closed({ user_id: Id }),
      responses: {
        200: { description: "Was a member already.", schema: MemberForm },
        201: { description: "The member.", schema: MemberForm },
      },
      problems: [403, 409],
      async handler({ actor, body, params: { channel_id: channelId = "" } }) {
        const asked = { actor, channelId, userId: body.user_id };
        const { member, created: isNew } = await management.addChannelMember(asked);
        return { status: isNew ? 201 : 200, body: renderMember(need(member)) };
      },
    }),
    route({
      method: "delete",
      path: "/channels/{channel_id}/members/{user_id}",
      operationId: "removeChannelMember",
      summary: "Takes a member out.",
      tag,
      params: { channel_id: "channel", user_id: "member" },
      responses: { 204: { description: "Done." } },
      problems: [403, 409],
      async handler({ actor, params: { channel_id: channelId = "", user_id: userId = "" } }) {
        await management.removeChannelMember({ actor, channelId, userId });
        return { status: 204 };
      },
    }),
  ];
}

function renderChannel(channel: Channel) {
  return {
    id: channel.id,
    number: numberOrNull(channel.number),
    team_id: channel.teamId,
    name: channel.name,
    display_name: textOrNull(channel.displayName),
    is_private: channel.isPrivate,
    creator_id: textOrNull(channel.creatorId),
    created_at: timeOrNull(channel.createdAt),
    updated_at: timeOrNull(channel.updatedAt),
    archived_at: timeOrNull(channel.archivedAt),
  };
}

function renderMember(member: ChannelMember) {
  return {
    channel_id: member.channelId,
    user_id: member.userId,
    created_at: timeOrNull(member.createdAt),
  };
}
