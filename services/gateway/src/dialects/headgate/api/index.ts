/** The native management API: every route, put together. */
import type { Router } from "express";
import type { Gate } from "../../../dialect.ts";
import { createBotRoutes } from "./bots.ts";
import { createChannelRoutes } from "./channels.ts";
import type { ApiDeps } from "./deps.ts";
import { createHookRoutes } from "./incoming-hooks.ts";
import { createMessageRoutes } from "./messages.ts";
import { createOpenApiRoutes } from "./openapi.ts";
import type { AnyRoute } from "./route.ts";
import { createRouter } from "./router.ts";
import { createSessionRoutes } from "./sessions.ts";
import { createStatusRoutes } from "./status.ts";
import { createStreamRoutes } from "./stream.ts";
import { createTeamRoutes } from "./teams.ts";
import { createTokenRoutes } from "./tokens.ts";
import { createUserRoutes } from "./users.ts";

/** The API's router, to be mounted at /api/headgate/v1; answers everything below. */
export function createApi(gate: Gate, deps: ApiDeps): Router {
  return createRouter({ gate, deps, routes: createRoutes(gate, deps) });
}

/** The routes of the API, the one that describes them all among them. */
export function createRoutes(gate: Gate, deps: ApiDeps): readonly AnyRoute[] {
  const needs = { ...deps, gate };
  const routes = [
    ...createSessionRoutes(needs),
    ...createUserRoutes(needs),
    ...createBotRoutes(needs),
    ...createTokenRoutes(needs),
    ...createTeamRoutes(needs),
    ...createChannelRoutes(needs),
    ...createMessageRoutes(needs),
    ...createHookRoutes(needs),
    ...createStreamRoutes(needs),
    ...createStatusRoutes(needs),
  ];
  return [...routes, ...createOpenApiRoutes({ routes, publicUrl: gate.publicUrl })];
}
