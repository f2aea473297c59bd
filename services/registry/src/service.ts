/** The registry's rules, all of them: see the service-*.ts of each noun. */
import { createChannelMemberRules } from "./service-channel-members.ts";
import { createChannelRules } from "./service-channels.ts";
import type { Deps } from "./service-deps.ts";
import { createFirstAdminRules } from "./service-first-admin.ts";
import { createHookRules } from "./service-hooks.ts";
import { createPeopleRules } from "./service-people.ts";
import { createResolveRules } from "./service-resolve.ts";
import { createTeamRules } from "./service-teams.ts";
import { createTokenRules } from "./service-tokens.ts";
import { createUpkeepRules } from "./service-upkeep.ts";

/** Everything the registry does. */
export type RegistryService = ReturnType<typeof createRegistryService>;

/** Puts the rules together. Each is named after its rpc. */
export function createRegistryService(deps: Deps) {
  return {
    ...createTeamRules(deps),
    ...createPeopleRules(deps),
    ...createTokenRules(deps),
    ...createChannelRules(deps),
    ...createChannelMemberRules(deps),
    ...createHookRules(deps),
    ...createResolveRules(deps),
    ...createFirstAdminRules(deps),
    ...createUpkeepRules(deps),
  };
}
