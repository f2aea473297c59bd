/** Mattermost's incoming webhooks, as its current servers take them. */
import type { Dialect } from "../../dialect.ts";
import { renderError } from "./errors.ts";
import { createRoutes, type Switches } from "./routes.ts";

/** The dialect under an operator's switches: webhooks at all, names and pictures put over the writer's. */
export function createMattermost(switches: Switches): Dialect {
  return {
    name: "mattermost",
    hookPath: (credential) => `/hooks/${credential}`,
    hooks: (gate) => createRoutes(gate, switches),
    renderError,
  };
}
