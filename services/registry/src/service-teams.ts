/** Rules of teams and of who is in them. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  CreateTeamRequest,
  GetTeamRequest,
  ListTeamMembersRequest,
  ListTeamsRequest,
  RemoveTeamMemberRequest,
  SetTeamMemberRequest,
  UpdateTeamRequest,
} from "@headgate/proto/registry/v1/management";
import {
  type Team,
  TeamMemberSchema,
  TeamRole,
  TeamSchema,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { createFaults, type Faults } from "./faults.ts";
import { removeFromTeam, withdrawAccess } from "./service-access-loss.ts";
import {
  act,
  announced,
  createOnce,
  forbidden,
  knowActor,
  missing,
  readPage,
  show,
} from "./service-change.ts";
import type { Deps, Reader } from "./service-deps.ts";
import { mayManageTeam, roleIn } from "./service-permissions.ts";

/** Pattern of a team's handle. */
const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;
/** A host name: dots between labels, no port, lower case; at most 253 characters. */
const HOST =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** Code points of a display name. */
const DISPLAY_NAME_MAX = 128;

/** Each rule answers its rpc; the proto says what it throws. */
export function createTeamRules(deps: Pick<Deps, "store" | "now" | "createId">) {
  const { store } = deps;
  return {
    createTeam,
    getTeam,
    listTeams,
    updateTeam,
    setTeamMember,
    removeTeamMember,
    listTeamMembers,
  };

  /** System admins only; the maker is in it as an admin. */
  async function createTeam(request: CreateTeamRequest) {
    return await createOnce(
      deps,
      { kind: "team", id: request.id, actor: request.actor },
      async () => ({ team: await makeTeam(request), existed: false }),
      async (id) => ({ ...(await getTeam({ actor: request.actor, id })), existed: true }),
    );
  }

  async function makeTeam(request: CreateTeamRequest): Promise<Team> {
    const number = await store.reserveNumbers(1);
    return await act(deps, request.actor, async ({ tx, actor, at, record }) => {
      if (!actor.isSystemAdmin)
        throw forbidden("team_create_forbidden", "Only system admins make teams.");
      const faults = createFaults();
      faults.id("/id", request.id);
      faults.check(NAME.test(request.name), "/name", `must match ${NAME.source}`);
      const shown = request.displayName || request.name;
      const zone = request.zone || "UTC";
      checkTeam(faults, { displayName: shown, host: request.host, zone });
      faults.throwAny();
      const team = create(TeamSchema, {
        id: request.id || deps.createId(),
        number,
        name: request.name,
        displayName: shown,
        host: request.host,
        zone,
        createdAt: timestampFromDate(at),
        updatedAt: timestampFromDate(at),
      });
      const maker = create(TeamMemberSchema, {
        teamId: team.id,
        userId: actor.id,
        role: TeamRole.ADMIN,
        createdAt: timestampFromDate(at),
      });
      team.position = await tx.insertTeam(team, actor.id);
      const { member } = await tx.putTeamMember(maker);
      await record({
        action: "team.created",
        subject: `team:${team.id}`,
        after: show(TeamSchema, team),
        announce: [
          announced({ case: "team", value: team }),
          announced({ case: "teamMember", value: member }),
        ],
      });
      return team;
    });
  }

  async function getTeam({ actor, id }: Pick<GetTeamRequest, "actor" | "id">) {
    const viewer = await knowActor(store, actor);
    return { team: (await seeTeam(store, viewer, id)).team };
  }

  async function listTeams({ actor, page, name }: ListTeamsRequest) {
    const viewer = await knowActor(store, actor);
    const window = readPage(page);
    const memberId = viewer.isSystemAdmin ? undefined : viewer.id;
    return { teams: await store.listTeams({ window, memberId, name: name || undefined }) };
  }

  async function updateTeam(request: UpdateTeamRequest) {
    return await act(deps, request.actor, async ({ tx, actor, at, record }) => {
      const before = await tx.lockTeam(request.id);
      await manageTeam(tx, actor, request.id);
      if (!before) throw missing("team");
      const team = create(TeamSchema, {
        ...before,
        displayName: request.displayName ?? before.displayName,
        host: request.host ?? before.host,
        zone: request.zone ?? before.zone,
        updatedAt: timestampFromDate(at),
      });
      const faults = createFaults();
      checkTeam(faults, team);
      faults.throwAny();
      await tx.saveTeam(team);
      await record({
        action: "team.updated",
        subject: `team:${team.id}`,
        before: show(TeamSchema, before),
        after: show(TeamSchema, team),
        announce: [announced({ case: "team", value: team })],
      });
      return { team };
    });
  }

  /** A lower role takes the hooks that it does not allow. A team's admins may add whomever they know the id of; a bot is a guest or a member. */
  async function setTeamMember({ actor: asker, teamId, userId, role }: SetTeamMemberRequest) {
    return await act(deps, asker, async (scene) => {
      const { tx, actor, at, record } = scene;
      const user = await tx.lockUser(userId);
      const team = await manageTeam(tx, actor, teamId);
      if (!user) throw missing("user");
      const faults = createFaults();
      const isRole = faults.check(
        role === TeamRole.GUEST || role === TeamRole.MEMBER || role === TeamRole.ADMIN,
        "/role",
        "must be guest, member or team_admin",
      );
      if (isRole) {
        const fits = !user.isBot || role !== TeamRole.ADMIN;
        faults.check(fits, "/role", "must be guest or member for a bot");
      }
      faults.throwAny();
      const before = await tx.findTeamMember(team.id, user.id);
      const { member, isNew } = await tx.putTeamMember(
        create(TeamMemberSchema, {
          teamId: team.id,
          userId: user.id,
          role,
          createdAt: timestampFromDate(at),
        }),
      );
      if (before?.role === role) return { member, created: false };
      await record({
        action: isNew ? "team_member.added" : "team_member.changed",
        subject: `team_member:${team.id}:${user.id}`,
        before: before && show(TeamMemberSchema, before),
        after: show(TeamMemberSchema, member),
        announce: [announced({ case: "teamMember", value: member })],
      });
      if (before && role < before.role) await withdrawAccess(scene, user, { teamId });
      return { member, created: isNew };
    });
  }

  /** By the team's admins, or by the member, who loses the hooks and bots of the team too. Again: not_found. */
  async function removeTeamMember({ actor: asker, teamId, userId }: RemoveTeamMemberRequest) {
    return await act(deps, asker, async (scene) => {
      const { tx, actor } = scene;
      const user = await tx.lockUser(userId);
      const { team, role } = await seeTeam(tx, actor, teamId);
      if (userId !== actor.id && !mayManageTeam(role)) throw notManager();
      const before = await tx.findTeamMember(team.id, userId);
      if (!user || !before) throw missing("member");
      await removeFromTeam(scene, before);
      await withdrawAccess(scene, user, { teamId });
      return {};
    });
  }

  /** Whoever sees the team sees who is in it. */
  async function listTeamMembers({ actor, teamId, page }: ListTeamMembersRequest) {
    const viewer = await knowActor(store, actor);
    const { team } = await seeTeam(store, viewer, teamId);
    return { members: await store.listTeamMembers({ window: readPage(page), teamId: team.id }) };
  }
}

/** A team that the viewer is in, with the viewer's role. @throws AppError not_found `team_unknown` */
export async function seeTeam(
  reader: Reader,
  viewer: User,
  id: string,
): Promise<{ team: Team; role: TeamRole }> {
  const team = await reader.findTeam(id);
  const role = team ? await roleIn(reader, viewer, team.id) : TeamRole.UNSPECIFIED;
  if (!team || role === TeamRole.UNSPECIFIED) throw missing("team");
  return { team, role };
}

async function manageTeam(reader: Reader, actor: User, id: string): Promise<Team> {
  const { team, role } = await seeTeam(reader, actor, id);
  if (!mayManageTeam(role)) throw notManager();
  return team;
}

function notManager() {
  return forbidden("team_manage_forbidden", "Only admins of the team may do this.");
}

function checkTeam(faults: Faults, team: { displayName: string; host: string; zone: string }) {
  faults.text("/display_name", team.displayName, { min: 1, max: DISPLAY_NAME_MAX });
  const isHost = team.host === "" || HOST.test(team.host);
  faults.check(isHost, "/host", "must be a host name in lower case, without a port");
  faults.check(isZone(team.zone), "/zone", "must be an IANA time zone");
}

function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^[A-Za-z]/.test(name); // "+02:00" is an offset, not a zone
  } catch {
    return false;
  }
}
