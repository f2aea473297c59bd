/** How every management call goes: who asks, the rule, the rows, the audit row and the announcement, all or nothing. */
import {
  create,
  type DescMessage,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import { isUuid } from "@headgate/kit/ids";
import type { Actor, Page } from "@headgate/proto/registry/v1/management";
import {
  type IncomingHook,
  IncomingHookSchema,
  type RegistryChanged,
  RegistryChangedSchema,
  type User,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import { registryKeyOf } from "@headgate/proto/topics";
import { createFaults } from "./faults.ts";
import type { Announcement, Changes, Deps, Kind, Reader, Window } from "./service-deps.ts";

/** The actor of changes that the registry makes of itself, or as its settings say. */
export const OPERATOR = "00000000-0000-0000-0000-000000000000";

/** One change under way. */
export type Scene = {
  readonly tx: Changes;
  readonly actor: User;
  readonly at: Date;
  /** Writes the audit row and announces. */
  record(change: Change): Promise<void>;
};

/** What was done. `subject` is the key of the subject's record. */
export type Change = {
  readonly action: string;
  readonly subject: string;
  readonly before?: JsonValue | undefined;
  readonly after?: JsonValue | undefined;
  readonly announce: readonly Announcement[];
};

/**
 * Runs a change in one transaction on behalf of an actor.
 * @throws AppError unauthenticated `actor_unknown` when the actor is nobody or deactivated
 */
export function act<T>(
  deps: Pick<Deps, "store" | "now" | "createId">,
  asker: Actor | undefined,
  work: (scene: Scene) => Promise<T>,
): Promise<T> {
  return deps.store.change(async (tx) => {
    const actor = await knowActor(tx, asker);
    return await work(openScene(deps, tx, actor, asker?.traceId ?? ""));
  });
}

/** Runs a change of the registry itself: the operator is its actor, and no rule of an actor is asked. */
export function actAsOperator<T>(
  deps: Pick<Deps, "store" | "now" | "createId">,
  work: (scene: Scene) => Promise<T>,
): Promise<T> {
  const operator = create(UserSchema, { id: OPERATOR });
  return deps.store.change((tx) => work(openScene(deps, tx, operator, "")));
}

function openScene(
  { now, createId }: Pick<Deps, "now" | "createId">,
  tx: Changes,
  actor: User,
  traceId: string,
): Scene {
  const at = now();
  return { tx, actor, at, record };

  async function record({ announce, before, after, ...change }: Change): Promise<void> {
    await tx.audit({ ...change, id: createId(), at, actorId: actor.id, before, after, traceId });
    tx.announce(announce);
  }
}

/** @throws AppError unauthenticated `actor_unknown` when the actor is nobody or deactivated */
export async function knowActor(reader: Reader, asker: Actor | undefined): Promise<User> {
  const user = await reader.findUser(asker?.userId ?? "");
  if (user && !user.deactivatedAt) return user;
  throw new AppError("unauthenticated", "actor_unknown", "Please log in.");
}

/**
 * Runs a create so that it can be repeated: when the id is taken by the same actor's create, answers what is there.
 * @throws AppError already_exists: `id_taken` by somebody else; `name_taken`
 */
export async function createOnce<Made, Found>(
  { store }: Pick<Deps, "store">,
  { kind, id, actor }: { kind: Kind; id: string; actor: Actor | undefined },
  make: () => Promise<Made>,
  find: (id: string) => Promise<Found>,
): Promise<Made | Found> {
  const { id: actorId } = await knowActor(store, actor);
  if (await isMade()) return await find(id);
  try {
    return await make();
  } catch (thrown) {
    // Somebody's create won the race; it may have been the same one.
    const isTaken = thrown instanceof AppError && thrown.code === "already_exists";
    if (isTaken && (await isMade())) return await find(id);
    throw thrown;
  }

  async function isMade(): Promise<boolean> {
    const creatorId = isUuid(id) ? await store.findCreator(kind, id) : undefined;
    if (creatorId === undefined) return false;
    if (creatorId === actorId) return true;
    throw new AppError("already_exists", "id_taken", "The id is taken.");
  }
}

/** The announcement of a thing as it is now. */
export function announced(subject: RegistryChanged["subject"]): Announcement {
  const value = create(RegistryChangedSchema, { subject });
  return { key: registryKeyOf(value), value };
}

/** The announcement that the thing of a key is gone. */
export function gone(key: string): Announcement {
  return { key, value: undefined };
}

/** A message as the audit keeps it: snake_case JSON. */
export function show<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): JsonValue {
  return toJson(schema, message, { useProtoFieldName: true });
}

/** A hook as the audit keeps it: without the digests. */
export function showHook(hook: IncomingHook): JsonValue {
  return show(IncomingHookSchema, { ...hook, credentialDigests: [] });
}

/** What a missing thing is called, and what one may not see is called the same. */
export function missing(what: string): AppError {
  return new AppError("not_found", `${what}_unknown`, `There is no such ${what}.`);
}

/** What one may see, but not do. */
export function forbidden(reason: string, message: string): AppError {
  return new AppError("permission_denied", reason, message);
}

/** The wanted page; without a limit, 50. @throws AppError invalid_argument with the faults of the page */
export function readPage(page: Page | undefined): Window {
  const faults = createFaults();
  const limit = page?.limit || 50;
  faults.check(limit <= 200, "/limit", "must be from 1 to 200");
  const { case: side, value = 0n } = page?.bound ?? { case: undefined };
  const first = side === "before" ? 1n : 0n;
  faults.check(value >= first, `/${side}`, `must be at least ${first}`);
  faults.throwAny();
  return { limit, bound: side && { case: side, value } };
}
