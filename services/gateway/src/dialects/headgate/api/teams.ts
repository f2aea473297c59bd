/** Teams and who is in them: /teams. */
import { type Team, type TeamMember, TeamRole } from "@headgate/proto/registry/v1/registry";
import { Type } from "typebox";
import { created, createdSpec } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import {
  closed,
  DisplayName,
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

const tag = "teams";
const params = { team_id: "team" };
const memberParams = { team_id: "team", user_id: "member" };
const Name = Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,63}$" });
const Host = Type.String({
  maxLength: 253,
  pattern: "^$|^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
  description: "Host name that Monotree senders use for this team; empty: any.",
});
const Zone = Type.String({
  maxLength: 64,
  pattern: "^[A-Za-z][A-Za-z0-9_+/-]*$",
  description: "IANA time zone; UTC unless set.",
  examples: ["UTC", "Europe/Berlin"],
});
const ROLES = {
  guest: TeamRole.GUEST,
  member: TeamRole.MEMBER,
  team_admin: TeamRole.ADMIN,
} as const;
const Role = named(
  "TeamRole",
  Type.Unsafe<keyof typeof ROLES>({ type: "string", enum: Object.keys(ROLES) }),
);

const TeamForm = named(
  "Team",
  Type.Object({
    id: Id,
    number: nullable(Type.Integer()),
    name: Name,
    display_name: nullable(Type.String()),
    host: nullable(Type.String()),
    zone: Type.String(),
    created_at: nullable(Time),
    updated_at: nullable(Time),
  }),
);

const MemberForm = named(
  "TeamMember",
  Type.Object({
    team_id: Id,
    user_id: Id,
    role: nullable(Role),
    created_at: nullable(Time),
  }),
);

/** The routes of teams. */
export function createTeamRoutes({ management }: Pick<ApiDeps, "management">): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/teams",
      operationId: "listTeams",
      summary: "Teams that the caller is in; of system admins, all.",
      tag,
      query: closed({ ...pageQuery, ...nameQuery }),
      responses: { 200: { description: "A page of them.", schema: pageOf(TeamForm) } },
      async handler({ actor, query }) {
        const { teams } = await management.listTeams({
          actor,
          page: toPage(query),
          name: query.name ?? "",
        });
        const isLast = isShort(query, teams);
        return {
          status: 200,
          body: renderPage(query, teams, { render: renderTeam, isLast }),
        };
      },
    }),
    route({
      method: "post",
      path: "/teams",
      operationId: "createTeam",
      summary: "Makes a team. System admins only.",
      tag,
      body: closed({
        name: Name,
        display_name: Type.Optional(DisplayName),
        host: Type.Optional(Host),
        zone: Type.Optional(Zone),
      }),
      responses: { 201: createdSpec("team", "The team.", TeamForm) },
      problems: [403, 409],
      async handler({ actor, body, newId }) {
        const { team, existed } = await management.createTeam({
          actor,
          id: newId,
          name: body.name,
          displayName: body.display_name ?? "",
          host: body.host ?? "",
          zone: body.zone ?? "",
        });
        const made = need(team);
        return created(`/teams/${made.id}`, renderTeam(made), existed);
      },
    }),
    route({
      method: "get",
      path: "/teams/{team_id}",
      operationId: "getTeam",
      summary: "One team.",
      tag,
      params,
      responses: { 200: { description: "The team.", schema: TeamForm } },
      async handler({ actor, params: { team_id: id = "" } }) {
        const { team } = await management.getTeam({ actor, id });
        return { status: 200, body: renderTeam(need(team)) };
      },
    }),
    route({
      method: "patch",
      path: "/teams/{team_id}",
      operationId: "updateTeam",
      summary: "Changes what is given. Its admins only.",
      tag,
      params,
      body: closed({
        display_name: Type.Optional(DisplayName),
        host: Type.Optional(Host),
        zone: Type.Optional(Zone),
      }),
      responses: { 200: { description: "The team.", schema: TeamForm } },
      problems: [403, 409],
      async handler({ actor, body, params: { team_id: id = "" } }) {
        const { team } = await management.updateTeam({
          actor,
          id,
          displayName: body.display_name,
          host: body.host,
          zone: body.zone,
        });
        return { status: 200, body: renderTeam(need(team)) };
      },
    }),
    route({
      method: "get",
      path: "/teams/{team_id}/members",
      operationId: "listTeamMembers",
      summary: "Who is in the team, by user id.",
      tag,
      params,
      query: closed(pageQuery),
      responses: { 200: { description: "A page of them.", schema: pageOf(MemberForm) } },
      async handler({ actor, query, params: { team_id: teamId = "" } }) {
        const { members } = await management.listTeamMembers({
          actor,
          teamId,
          page: toPage(query),
        });
        const isLast = isShort(query, members);
        return {
          status: 200,
          body: renderPage(query, members, { render: renderMember, isLast }),
        };
      },
    }),
    route({
      method: "post",
      path: "/teams/{team_id}/members",
      operationId: "setTeamMember",
      summary: "Adds a member, or changes the role of one. Its admins only.",
      tag,
      params,
      body: closed({ user_id: Id, role: Type.Optional(Role) }),
      responses: {
        200: { description: "Was a member; the role is as asked.", schema: MemberForm },
        201: { description: "The member.", schema: MemberForm },
      },
      problems: [403, 409],
      async handler({ actor, body, params: { team_id: teamId = "" } }) {
        const role = ROLES[body.role ?? "member"];
        const { member, created: isNew } = await management.setTeamMember({
          actor,
          teamId,
          userId: body.user_id,
          role,
        });
        return { status: isNew ? 201 : 200, body: renderMember(need(member)) };
      },
    }),
    route({
      method: "delete",
      path: "/teams/{team_id}/members/{user_id}",
      operationId: "removeTeamMember",
      summary: "Takes a member out of the team and of its channels.",
      tag,
      params: memberParams,
      responses: { 204: { description: "Done." } },
      problems: [403, 409],
      async handler({ actor, params: { team_id: teamId = "", user_id: userId = "" } }) {
        await management.removeTeamMember({ actor, teamId, userId });
        return { status: 204 };
      },
    }),
  ];
}

function renderTeam(team: Team) {
  return {
    id: team.id,
    number: numberOrNull(team.number),
    name: team.name,
    display_name: textOrNull(team.displayName),
    host: textOrNull(team.host),
    zone: team.zone || "UTC",
    created_at: timeOrNull(team.createdAt),
    updated_at: timeOrNull(team.updatedAt),
  };
}

function renderMember(member: TeamMember) {
  const role = Object.entries(ROLES).find(([, value]) => value === member.role)?.[0];
  return {
    team_id: member.teamId,
    user_id: member.userId,
    role: role ?? null,
    created_at: timeOrNull(member.createdAt),
  };
}
