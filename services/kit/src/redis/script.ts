/** Lua scripts that Redis runs as one step. */
import { createHash } from "node:crypto";

/** A script, and the digest that the server knows it by. */
export type Script = { readonly lua: string; readonly sha: string; readonly name: string };

/** Makes a script from its text. `name` is what spans and metrics call it. */
export function defineScript(lua: string, name = "script"): Script {
  return Object.freeze({ lua, name, sha: createHash("sha1").update(lua).digest("hex") });
}

/** Whether the server says that it does not know the digest: it restarted, or never saw the script. */
export function isNoScript(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.message.startsWith("NOSCRIPT");
}
