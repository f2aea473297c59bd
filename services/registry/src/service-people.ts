/** Rules of people and bots. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  CreateBotRequest,
  CreateUserRequest,
  DeactivateUserRequest,
  GetUserRequest,
  ListUsersRequest,
  UpdateUserRequest,
} from "@headgate/proto/registry/v1/management";
import {
  TeamMemberSchema,
  TeamRole,
  type User,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import { createFaults } from "./faults.ts";
import { withdrawAccess } from "./service-access-loss.ts";
import {
  afterHandOver,
  checkBotMayBeActive,
  checkBotOwner,
  mayHandOver,
} from "./service-bot-owner.ts";
import {
  act,
  announced,
  createOnce,
  forbidden,
  knowActor,
  missing,
  readPage,
  type Scene,
  show,
} from "./service-change.ts";
import type { Announcement, Deps, Reader } from "./service-deps.ts";
import { mayMakeThings, maySeeUser, roleIn } from "./service-permissions.ts";
import { seeTeam } from "./service-teams.ts";
import { endTokens } from "./service-tokens.ts";
import {
  checkNew,
  checkPassword,
  checkRights,
  checkUser,
  keepAnAdmin,
} from "./service-user-checks.ts";

/** What only the user, its owner and system admins may change; another owner is given by others too. */
const CHANGES = [
  "displayName",
  "email",
  "password",
  "isSystemAdmin",
  "iconUrl",
  "isActive",
] as const satisfies (keyof UpdateUserRequest)[];

/** Each rule answers its rpc; the proto says what it throws. */
export function createPeopleRules(deps: Omit<Deps, "throttle" | "sealer">) {
  const { store, passwords } = deps;
  return { createUser, getUser, listUsers, updateUser, deactivateUser, createBot };

  /** System admins only. */
  async function createUser(request: CreateUserRequest) {
    return await createOnce(
      deps,
      { kind: "user", id: request.id, actor: request.actor },
      async () => ({ user: await makeUser(request), existed: false }),
      async (id) => ({ ...(await getUser({ actor: request.actor, id })), existed: true }),
    );
  }

  async function makeUser(request: CreateUserRequest): Promise<User> {
    const asker = await knowActor(store, request.actor);
    if (!asker.isSystemAdmin)
      throw forbidden("user_create_forbidden", "Only system admins make users.");
    const faults = createFaults();
    const user = create(UserSchema, { ...blank(request), email: request.email });
    user.isSystemAdmin = request.isSystemAdmin;
    checkNew(faults, request);
    checkUser(faults, user);
    if (request.password !== "") checkPassword(faults, request.password, user);
    const team = request.teamId === "" ? undefined : await store.findTeam(request.teamId);
    faults.check(request.teamId === "" || team !== undefined, "/team_id", "there is no such team");
    faults.throwAny();
    user.number = await store.reserveNumbers(1);
    const hash = request.password === "" ? undefined : await passwords.hash(request.password);
    return await act(deps, request.actor, async (scene) => {
      await addUser(scene, user, { hash, teamId: team?.id });
      return user;
    });
  }

  /** By members of the team; a bot is in it as a member. */
  async function createBot(request: CreateBotRequest) {
    return await createOnce(
      deps,
      { kind: "user", id: request.id, actor: request.actor },
      async () => ({ bot: await makeBot(request), existed: false }),
      async (id) => ({ bot: (await getUser({ actor: request.actor, id })).user, existed: true }),
    );
  }

  async function makeBot(request: CreateBotRequest): Promise<User> {
    const number = await store.reserveNumbers(1);
    return await act(deps, request.actor, async (scene) => {
      const { tx, actor } = scene;
      await tx.lockUser(actor.id); // so that the owner loses nothing meanwhile
      const faults = createFaults();
      const bot = create(UserSchema, { ...blank(request), number, isBot: true, ownerId: actor.id });
      checkNew(faults, request);
      checkUser(faults, bot);
      const team = await tx.findTeam(request.teamId);
      const role = team ? await roleIn(tx, actor, team.id) : TeamRole.UNSPECIFIED;
      faults.check(role !== TeamRole.UNSPECIFIED, "/team_id", "there is no such team");
      faults.throwAny();
      if (!mayMakeThings(role)) throw forbidden("bot_create_forbidden", "Guests make no bots.");
      await addUser(scene, bot, { hash: undefined, teamId: team?.id });
      return bot;
    });
  }

  async function getUser({ actor, id }: Pick<GetUserRequest, "actor" | "id">) {
    const viewer = await knowActor(store, actor);
    const user = await store.findUser(id);
    if (!user || !(await maySeeUser(store, viewer, user))) throw missing("user");
    return { user: withoutPrivate(viewer, user) };
  }

  async function listUsers({ actor, page, teamId, isBot, name }: ListUsersRequest) {
    const viewer = await knowActor(store, actor);
    const window = readPage(page);
    if (teamId !== "") await seeTeam(store, viewer, teamId);
    const users = await store.listUsers({
      window,
      teamId: teamId || undefined,
      isBot,
      name: name || undefined,
      viewerId: viewer.isSystemAdmin ? undefined : viewer.id,
    });
    return { users: users.map((user) => withoutPrivate(viewer, user)) };
  }

  /** People change themselves, owners their bots, system admins everybody. A new password ends all sessions. */
  async function updateUser(request: UpdateUserRequest) {
    const { password } = request;
    const faults = createFaults();
    // Hashing takes long: before the transaction, and only for who may.
    const known =
      password !== undefined &&
      (await mayUpdate(store, await knowActor(store, request.actor), request));
    const isTaken = known && checkPassword(faults, password, known);
    const hash = isTaken ? await passwords.hash(password) : undefined;
    return await act(deps, request.actor, async (scene) => {
      const { tx, actor, at, record } = scene;
      await mayUpdate(tx, actor, request);
      const mayDrop = request.isSystemAdmin === false || request.isActive === false;
      const adminCount = mayDrop ? await tx.lockAdmins() : 0;
      const before = await tx.lockUser(request.id);
      if (!before) throw missing("user");
      const user = create(UserSchema, {
        ...before,
        displayName: request.displayName ?? before.displayName,
        email: request.email ?? before.email,
        iconUrl: request.iconUrl ?? before.iconUrl,
        isSystemAdmin: request.isSystemAdmin ?? before.isSystemAdmin,
        ownerId: request.ownerId ?? before.ownerId,
        updatedAt: timestampFromDate(at),
      });
      if (request.isActive === true) user.deactivatedAt = undefined;
      if (request.isActive === false) user.deactivatedAt ??= timestampFromDate(at);
      checkUser(faults, user);
      if (before.isBot) {
        faults.check(user.email === "", "/email", "must be empty for a bot");
        faults.check(password === undefined, "/password", "must be absent for a bot");
        faults.check(!user.isSystemAdmin, "/is_system_admin", "must be false for a bot");
      }
      const isHandedOver = user.ownerId !== before.ownerId;
      const owner = isHandedOver
        ? await checkBotOwner(faults, tx, { actor, bot: before, ownerId: user.ownerId })
        : undefined;
      faults.throwAny();
      checkRights(actor, before, user);
      keepAnAdmin(adminCount, before, user);
      await tx.saveUser(user);
      if (before.isBot && before.deactivatedAt && !user.deactivatedAt) {
        await checkBotMayBeActive(tx, user);
      }
      if (hash !== undefined) await tx.savePasswordHash(user.id, hash);
      const ended: Announcement[] = [];
      if (owner) ended.push(...(await afterHandOver(scene, user, owner)));
      if (user.deactivatedAt)
        ended.push(...(await endTokens(scene, { userId: user.id, onlySessions: false })));
      else if (hash !== undefined)
        ended.push(...(await endTokens(scene, { userId: user.id, onlySessions: true })));
      const note = hash === undefined ? [] : ["password"];
      await record({
        action: "user.updated",
        subject: `user:${user.id}`,
        before: show(UserSchema, before),
        after: { ...Object(show(UserSchema, user)), unshown_changes: note },
        announce: [announced({ case: "user", value: user }), ...ended],
      });
      const isAdminNoMore = before.isSystemAdmin && !user.isSystemAdmin;
      const isEnded = !before.deactivatedAt && user.deactivatedAt !== undefined;
      if (isAdminNoMore || isEnded) await withdrawAccess(scene, user);
      return { user: withoutPrivate(actor, user) };
    });
  }

  /** System admins, and owners their bots. Ends tokens and bots, disables hooks. Again: nothing happens. */
  async function deactivateUser({ actor: asker, id }: DeactivateUserRequest) {
    return await act(deps, asker, async (scene) => {
      const { tx, actor, at, record } = scene;
      await mayUpdate(tx, actor, { id });
      const adminCount = await tx.lockAdmins();
      const before = await tx.lockUser(id);
      if (!before) throw missing("user");
      if (before.deactivatedAt) return {};
      const user = create(UserSchema, {
        ...before,
        updatedAt: timestampFromDate(at),
        deactivatedAt: timestampFromDate(at),
      });
      checkRights(actor, before, user);
      keepAnAdmin(adminCount, before, user);
      await tx.saveUser(user);
      const ended = await endTokens(scene, { userId: id, onlySessions: false });
      await record({
        action: "user.deactivated",
        subject: `user:${id}`,
        before: show(UserSchema, before),
        after: show(UserSchema, user),
        announce: [announced({ case: "user", value: user }), ...ended],
      });
      await withdrawAccess(scene, user);
      return {};
    });
  }

  /** @throws AppError not_found where the actor may not see the user, permission_denied where not change */
  async function mayUpdate(
    reader: Reader,
    actor: User,
    { id, ...given }: Pick<UpdateUserRequest, "id"> & Partial<UpdateUserRequest>,
  ): Promise<User> {
    if (given.ownerId !== undefined) await mayHandOver(reader, actor, id);
    const isOnlyOwner =
      given.ownerId !== undefined && CHANGES.every((name) => given[name] === undefined);
    const user = await reader.findUser(id);
    if (!user || !(await maySeeUser(reader, actor, user))) throw missing("user");
    const isOwn = actor.id === user.id || user.ownerId === actor.id;
    if (isOnlyOwner || actor.isSystemAdmin || isOwn) return user;
    throw forbidden("user_update_forbidden", "Only the user and system admins may do this.");
  }

  /** What a create sets of its own. */
  function blank(request: CreateUserRequest | CreateBotRequest) {
    const at = timestampFromDate(deps.now());
    return {
      id: request.id || deps.createId(),
      name: request.name,
      displayName: request.displayName || request.name,
      iconUrl: request.iconUrl,
      createdAt: at,
      updatedAt: at,
    };
  }
}

/** Writes a new person or bot into a change, and into a team as a member. */
export async function addUser(
  { tx, actor, at, record }: Scene,
  user: User,
  { hash, teamId }: { hash: string | undefined; teamId: string | undefined },
): Promise<void> {
  user.position = await tx.insertUser(user, actor.id, hash);
  const announce = [announced({ case: "user", value: user })];
  if (teamId !== undefined) {
    const { member } = await tx.putTeamMember(
      create(TeamMemberSchema, {
        teamId,
        userId: user.id,
        role: TeamRole.MEMBER,
        createdAt: timestampFromDate(at),
      }),
    );
    announce.push(announced({ case: "teamMember", value: member }));
  }
  await record({
    action: user.isBot ? "bot.created" : "user.created",
    subject: `user:${user.id}`,
    after: show(UserSchema, user),
    announce,
  });
}

/** An email is for its owner and the system admins. */
function withoutPrivate(viewer: User, user: User): User {
  if (viewer.isSystemAdmin || viewer.id === user.id) return user;
  return create(UserSchema, { ...user, email: "" });
}
