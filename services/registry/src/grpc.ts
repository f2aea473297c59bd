/** rpc → rule → reply. The rules are named after the rpcs, take their requests and answer their replies. */
import { AppError } from "@headgate/kit/errors";
import { type Call, type Identity, type Implementation, implement } from "@headgate/kit/grpc";
import { type Actor, ManagementService } from "@headgate/proto/registry/v1/management";
import { RegistryService as RegistryRpc } from "@headgate/proto/registry/v1/registry";
import type { RegistryService } from "./service.ts";

/** The one service that identifies people (it has their tokens), and so the one that may call in their names. */
const GATEWAY = "gateway";

/**
 * Both services of the contract: what others ask while they serve, and management. Where identity statements are verified,
 * the first is for the gateway itself, and management is for the account that the gateway's statement names: no other
 * actor can be put into a request.
 */
export function createRegistryRpc(registry: RegistryService): Implementation[] {
  return [
    implement(RegistryRpc, registry, { mayCall: isGateway }),
    implement(ManagementService, inNameOfCaller(registry), { mayCall: isAccount }),
  ];
}

function isGateway({ subject }: Identity): boolean {
  return subject === `service:${GATEWAY}`;
}

function isAccount({ issuer, userId }: Identity): boolean {
  return issuer === GATEWAY && userId !== undefined;
}

/** The management rules, each behind a check of its request's actor against the identity of the call. */
function inNameOfCaller(registry: RegistryService) {
  const names = ManagementService.methods.map((method) => method.localName);
  const handlers = names.map((name) => {
    // Every rpc of management has a rule of its name, and every request of it an actor.
    const rule = registry[name as keyof RegistryService] as (request: Acted) => Promise<unknown>;
    const handler = async (request: Acted, { identity }: Call) => {
      checkActor(request.actor, identity);
      return await rule(request);
    };
    return [name, handler] as const;
  });
  return Object.fromEntries(handlers) as unknown as RegistryService; // the same names, the same requests and replies
}

/** A request of management. */
type Acted = { readonly actor?: Actor | undefined };

/** @throws AppError permission_denied `actor_not_caller` when a request names another account than its caller */
function checkActor(actor: Actor | undefined, identity: Identity | undefined): void {
  if (identity === undefined || actor?.userId === identity.userId) return;
  const message = "The actor of the request is not the account that calls.";
  throw new AppError("permission_denied", "actor_not_caller", message);
}
