/** rpc → rule → reply. The rules are named after the rpcs, take their requests and answer their replies. */
import { type Implementation, implement } from "@headgate/kit/grpc";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import { RegistryService as RegistryRpc } from "@headgate/proto/registry/v1/registry";
import type { RegistryService } from "./service.ts";

/** Both services of the contract: what others ask while they serve, and management. */
export function createRegistryRpc(registry: RegistryService): Implementation[] {
  return [implement(RegistryRpc, registry), implement(ManagementService, registry)];
}
