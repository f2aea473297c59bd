/** Rules of incoming hooks: making, changing, rotating, ending. What a hook may be is checked in service-hook-checks.ts. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import type {
  CreateIncomingHookRequest,
  DeleteIncomingHookRequest,
  GetIncomingHookRequest,
  ListIncomingHooksRequest,
  RotateIncomingHookRequest,
  SetIncomingHookStateRequest,
  UpdateIncomingHookRequest,
} from "@headgate/proto/registry/v1/management";
import {
  HookDisabledReason,
  HookState,
  type IncomingHook,
  IncomingHookSchema,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { DIALECTS } from "./credential.ts";
import { createFaults } from "./faults.ts";
import { endBotsOf, reviveBot } from "./service-access-loss.ts";
import { handOverBot } from "./service-bot-owner.ts";
import {
  act,
  announced,
  createOnce,
  gone,
  knowActor,
  missing,
  readPage,
  type Scene,
  showHook,
} from "./service-change.ts";
import type { Deps, Reader } from "./service-deps.ts";
import { checkHook, checkHookForm, checkNewOwner, checkOwner } from "./service-hook-checks.ts";
import { checkFitness } from "./service-hook-fitness.ts";
import { giveCredential, makeBot, reread } from "./service-hook-parts.ts";
import { mayManageHook, roleIn } from "./service-permissions.ts";
import { seeTeam } from "./service-teams.ts";

/** Longest overlap of two credentials, in seconds: a day. */
const GRACE_SECONDS_MAX = 86_400;
/** The states a hook can be put into. */
const STATES: readonly HookState[] = [HookState.ACTIVE, HookState.DISABLED, HookState.REVOKED];

/** Each rule answers its rpc; the proto says what it throws. */
export function createHookRules(
  deps: Pick<Deps, "store" | "now" | "createId" | "sealer" | "servedActions">,
) {
  const { store, servedActions } = deps;
  return {
    createIncomingHook,
    getIncomingHook,
    listIncomingHooks,
    updateIncomingHook,
    deleteIncomingHook,
    rotateIncomingHook,
    setIncomingHookState,
  };

  /** The credential is in the first answer only. */
  async function createIncomingHook(request: CreateIncomingHookRequest) {
    return await createOnce(
      deps,
      { kind: "hook", id: request.id, actor: request.actor },
      async () => ({ ...(await makeHook(request)), existed: false }),
      async (id) => ({ ...(await getIncomingHook({ actor: request.actor, id })), existed: true }),
    );
  }

  async function makeHook(request: CreateIncomingHookRequest) {
    const number = await store.reserveNumbers(2); // the hook, and the bot it may need
    return await act(deps, request.actor, async (scene) => {
      const { tx, actor, at, record } = scene;
      const faults = createFaults();
      faults.id("/id", request.id);
      const owner = await checkOwner(faults, tx, actor, request.ownerId);
      const form = DIALECTS.get(request.dialect);
      const isOwnerWriter = request.ownerWrites || (form?.ownerWrites && request.botId === "");
      const hook = create(IncomingHookSchema, {
        id: request.id || deps.createId(),
        number,
        dialect: request.dialect,
        action: request.action,
        targetId: request.targetId,
        name: request.name,
        description: request.description,
        ownerId: owner.id,
        botId: request.botId,
        overrideName: request.overrideName,
        overrideIconUrl: request.overrideIconUrl,
        targetLocked: request.targetLocked,
        limits: request.limits,
        state: HookState.ACTIVE,
        createdAt: timestampFromDate(at),
        updatedAt: timestampFromDate(at),
      });
      faults.check(
        !request.ownerWrites || request.botId === "",
        "/bot_id",
        "must be absent where the owner writes",
      );
      checkHookForm(faults, hook, { isOwnerWriter: isOwnerWriter === true, servedActions });
      hook.teamId = (await checkHook({ faults, tx, actor, owner, hook })) ?? "";
      faults.throwAny();
      if (hook.botId === "" && !isOwnerWriter) hook.botId = (await makeBot(deps, scene, hook)).id;
      hook.position = await tx.insertHook(hook, actor.id);
      const credential = await giveCredential(deps, scene, hook);
      const made = await reread(tx, hook.id);
      await record({
        action: "hook.created",
        subject: `hook:${hook.id}`,
        after: showHook(made),
        announce: [announced({ case: "hook", value: made })],
      });
      return { hook: made, credential };
    });
  }

  async function getIncomingHook({ actor, id }: Pick<GetIncomingHookRequest, "actor" | "id">) {
    const viewer = await knowActor(store, actor);
    return { hook: await seeHook(store, viewer, await store.findHook(id)) };
  }

  /** One's own; in teams that one is an admin of, everybody's. */
  async function listIncomingHooks(request: ListIncomingHooksRequest) {
    const viewer = await knowActor(store, request.actor);
    const window = readPage(request.page);
    const faults = createFaults();
    faults.id("/target_id", request.targetId);
    faults.text("/dialect", request.dialect, { min: 0, max: 64 });
    faults.throwAny();
    if (request.teamId !== "") await seeTeam(store, viewer, request.teamId);
    const hooks = await store.listHooks({
      window,
      teamId: request.teamId || undefined,
      dialect: request.dialect || undefined,
      targetId: request.targetId || undefined,
      name: request.name || undefined,
      viewerId: viewer.isSystemAdmin ? undefined : viewer.id,
    });
    return { hooks };
  }

  /** The target stays in the hook's team. A new owner gets the bot that was made for the hook too; the state stays. */
  async function updateIncomingHook(request: UpdateIncomingHookRequest) {
    return await change(request, "hook.updated", async (scene, before) => {
      const { tx, actor, at } = scene;
      checkNotRevoked(before);
      const hook = create(IncomingHookSchema, {
        ...before,
        targetId: request.targetId ?? before.targetId,
        name: request.name ?? before.name,
        description: request.description ?? before.description,
        botId: request.botId ?? before.botId,
        overrideName: request.overrideName ?? before.overrideName,
        overrideIconUrl: request.overrideIconUrl ?? before.overrideIconUrl,
        targetLocked: request.targetLocked ?? before.targetLocked,
        limits: request.clearLimits ? undefined : (request.limits ?? before.limits),
        ownerId: request.ownerId ?? before.ownerId,
        updatedAt: timestampFromDate(at),
      });
      const faults = createFaults();
      const isEither = !request.clearLimits || !request.limits;
      faults.check(isEither, "/limits", "must not be set and cleared at once");
      checkHookForm(faults, hook, {
        isOwnerWriter: hook.botId === "",
        servedActions: new Set([hook.action]), // the action of a hook that is there stays
      });
      const isHandedOver = hook.ownerId !== before.ownerId;
      const owner = isHandedOver
        ? await checkOwner(faults, tx, actor, hook.ownerId)
        : await tx.findUser(hook.ownerId);
      if (!owner) throw missing("hook");
      await checkHook({ faults, tx, actor, owner, hook, before });
      if (isHandedOver) await checkNewOwner({ faults, tx, actor, owner, hook, before });
      faults.throwAny();
      await tx.saveHook(hook);
      if (isHandedOver) await handOverBot(scene, owner, hook);
      if (hook.botId !== before.botId) await endBotsOf(scene, [hook.id]);
    });
  }

  /** For good. Again: not_found. */
  async function deleteIncomingHook({ actor: asker, id }: DeleteIncomingHookRequest) {
    return await act(deps, asker, async (scene) => {
      const { tx, actor, record } = scene;
      const before = await seeHook(tx, actor, await tx.lockHook(id));
      await tx.deleteHook(id);
      const subject = `hook:${id}`;
      await record({
        action: "hook.deleted",
        subject,
        before: showHook(before),
        announce: [gone(subject)],
      });
      await endBotsOf(scene, [id]);
      return {};
    });
  }

  /** A new credential; the old one goes on for the grace, the one before that ends now. */
  async function rotateIncomingHook(request: RotateIncomingHookRequest) {
    const { graceSeconds } = request;
    let credential = "";
    const { hook } = await change(request, "hook.rotated", async (scene, before) => {
      const faults = createFaults();
      const isGrace = graceSeconds <= GRACE_SECONDS_MAX;
      faults.check(isGrace, "/grace_seconds", `must be from 0 to ${GRACE_SECONDS_MAX}`);
      faults.throwAny();
      checkNotRevoked(before);
      const until = new Date(scene.at.getTime() + graceSeconds * 1_000);
      await scene.tx.retireCredentials(before.id, graceSeconds > 0 ? until : undefined);
      const hook = { ...before, updatedAt: timestampFromDate(scene.at) };
      credential = await giveCredential(deps, scene, hook);
    });
    return { hook, credential };
  }

  /**
   * To the state it is in already: nothing happens. From revoked there is no way back. Enabling brings back the bot that
   * was made for the hook, and is refused while the owner or the bot may not have the hook.
   */
  async function setIncomingHookState(request: SetIncomingHookStateRequest) {
    return await change(request, "hook.state_set", async (scene, before) => {
      const { tx, at } = scene;
      const { state } = request;
      const faults = createFaults();
      const isState = STATES.includes(state);
      faults.check(isState, "/state", "must be active, disabled or revoked");
      faults.throwAny();
      if (before.state === state) return;
      checkNotRevoked(before);
      const isEnabled = state === HookState.ACTIVE;
      if (isEnabled) await reviveBot(scene, before);
      if (isEnabled) await checkFitness(tx, before);
      const disabledReason = HookDisabledReason.UNSPECIFIED;
      await tx.saveHook({ ...before, state, disabledReason, updatedAt: timestampFromDate(at) });
      if (state === HookState.REVOKED) await endBotsOf(scene, [before.id]);
    });
  }

  /** Changes a hook that the actor may manage; what comes out is audited and announced, if it is another. */
  async function change(
    { actor: asker, id }: Pick<GetIncomingHookRequest, "actor" | "id">,
    action: string,
    work: (scene: Scene, before: IncomingHook) => Promise<void>,
  ): Promise<{ hook: IncomingHook }> {
    return await act(deps, asker, async (scene) => {
      const { tx, actor, record } = scene;
      // The owner first, as withdrawAccess locks, so that the owner loses nothing while the hook is changed.
      await tx.lockUser((await tx.findHook(id))?.ownerId ?? "");
      const before = await seeHook(tx, actor, await tx.lockHook(id));
      await work(scene, before);
      const hook = await reread(tx, id);
      const isSame = hook.state === before.state && action === "hook.state_set";
      if (isSame) return { hook };
      await record({
        action,
        subject: `hook:${id}`,
        before: showHook(before),
        after: showHook(hook),
        announce: [announced({ case: "hook", value: hook })],
      });
      return { hook };
    });
  }
}

async function seeHook(
  reader: Reader,
  viewer: User,
  hook: IncomingHook | undefined,
): Promise<IncomingHook> {
  const isMine = hook && mayManageHook(await roleIn(reader, viewer, hook.teamId), viewer.id, hook);
  if (!hook || !isMine) throw missing("hook");
  return hook;
}

function checkNotRevoked(hook: IncomingHook): void {
  if (hook.state !== HookState.REVOKED) return;
  throw new AppError("failed_precondition", "hook_revoked", "The hook is revoked for good.");
}
