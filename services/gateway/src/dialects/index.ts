/** All dialects of the gateway. The only file that names them. */
import type { Dialect } from "../dialect.ts";
import { headgate } from "./headgate/index.ts";
import { createMattermost } from "./mattermost/index.ts";
import { monotree } from "./monotree/index.ts";

/** Switches of dialects that have some. */
export type DialectSwitches = { readonly mattermost: Parameters<typeof createMattermost>[0] };

/** The dialects, those with most traffic first. */
export function createDialects(switches: DialectSwitches): readonly Dialect[] {
  return [headgate, createMattermost(switches.mattermost), monotree];
}
