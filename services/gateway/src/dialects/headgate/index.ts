/** Our own hook API: one event or a batch of them at /in/{token}. */
import type { Dialect } from "../../dialect.ts";
import { renderError } from "./errors.ts";
import { createRoutes, hookPath } from "./routes.ts";

/** The native dialect. */
export const headgate: Dialect = { name: "headgate", hookPath, hooks: createRoutes, renderError };
