/** What the suites of the rules are played on: a registry behind its rpcs, and a team with everybody in it. */
import {
  create,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import {
  type RegistryChanged,
  RegistryService as RegistryRpc,
  TeamRole,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { digestOf } from "../credential.ts";
import type { RegistryService } from "../service.ts";

/** A service as its callers see it: requests by their initial values. */
export type Caller<S extends DescService> = {
  readonly [M in keyof S["method"]]: (
    request: MessageInitShape<S["method"][M]["input"]>,
  ) => Promise<MessageShape<S["method"][M]["output"]>>;
};

/** What a suite needs: both services, a system admin, and what was announced so far. */
export type World = {
  readonly ask: Caller<typeof RegistryRpc>;
  readonly manage: Caller<typeof ManagementService>;
  readonly admin: Pick<User, "id">;
  /** Key and value (null: gone) of every announcement, in order. */
  announced(): Promise<{ key: string; value: RegistryChanged | null }[]>;
};

/** Calls rules as if over rpc. */
export function callRules(registry: RegistryService): Pick<World, "ask" | "manage"> {
  return { ask: callerOf(RegistryRpc, registry), manage: callerOf(ManagementService, registry) };
}

function callerOf<S extends DescService>(service: S, rules: object): Caller<S> {
  const calls = service.methods.map((method) => {
    const rule: unknown = Reflect.get(rules, method.localName);
    if (typeof rule !== "function") throw new Error(`${method.name} has no rule`);
    const call = async (init: Record<string, unknown>) =>
      create(method.output, await rule(create(method.input, init)));
    return [method.localName, call] as const;
  });
  // The methods come from the descriptor that the type was made of.
  return Object.fromEntries(calls) as unknown as Caller<S>;
}

/** A team of its own with one of each role, somebody outside, a public and a private channel. */
export async function openScene(world: World) {
  const { manage, admin } = world;
  const suffix = createId().slice(-12);
  const { team } = await manage.createTeam({ actor: by(admin), name: `team-${suffix}` });
  const teamId = known(team).id;
  const [leader, member, other, guest, outsider] = await Promise.all(
    ["leader", "member", "other", "guest", "outsider"].map(async (name) => {
      const { user } = await manage.createUser({ actor: by(admin), name: `${name}-${suffix}` });
      return known(user);
    }),
  );
  const scene = {
    suffix,
    teamId,
    leader: known(leader),
    member: known(member),
    other: known(other),
    guest: known(guest),
    outsider: known(outsider),
  };
  const roles = [
    [scene.leader, TeamRole.ADMIN],
    [scene.member, TeamRole.MEMBER],
    [scene.other, TeamRole.MEMBER],
    [scene.guest, TeamRole.GUEST],
  ] as const;
  for (const [user, role] of roles) {
    await manage.setTeamMember({ actor: by(admin), teamId, userId: user.id, role });
  }
  const open = await manage.createChannel({ actor: by(scene.leader), teamId, name: "open" });
  const closed = await manage.createChannel({
    actor: by(scene.member),
    teamId,
    name: "closed",
    isPrivate: true,
  });
  return { ...scene, open: known(open.channel), closed: known(closed.channel) };
}

/** The actor of a call. */
export function by(user: Pick<User, "id">) {
  return { userId: user.id, traceId: "0af7651916cd43dd8448eb211c80319c" };
}

/** What must be there. */
export function known<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error("it is not there");
  return thing;
}

/** The digest a gateway would ask with. */
export function digest(secret: string): { credentialDigest: Uint8Array; tokenDigest: Uint8Array } {
  return { credentialDigest: digestOf(secret), tokenDigest: digestOf(secret) };
}

/** How a call fails: what callers see of it. */
export async function failureOf(work: Promise<unknown>) {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw new Error(`no AppError but ${String(thrown)}`);
  const { code, reason, message, faults } = thrown;
  return { code, reason, message, pointers: faults.map(({ pointer }) => pointer) };
}
