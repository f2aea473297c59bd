/** Monotree's incoming webhooks: `POST /api/open/v1/incoming/{token}`. */
import type { Dialect } from "../../dialect.ts";
import { renderError } from "./errors.ts";
import { createRoutes, PATH_PREFIX } from "./routes.ts";

/** The dialect; it has no switches. */
export const monotree: Dialect = {
  name: "monotree",
  hookPath: (credential) => `${PATH_PREFIX}${credential}`,
  hooks: createRoutes,
  renderError,
};
