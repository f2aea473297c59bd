/** The demo's hooks: one of each dialect, all into the demo's channel. */
import { type Call, expectBody, readText } from "../api.ts";
import type { Earlier } from "./earlier.ts";

/** The dialects that have a hook in the demo. */
export const DIALECTS = ["headgate", "mattermost", "monotree"] as const;

/** A hook, with the URL that holds its token. */
export type Hook = { readonly id: string; readonly url: string };

/**
 * The hook of an earlier run while it is active and writes into the channel; else a new one, with a line in `notes`
 * that says why. @throws LocalFault when the API refuses
 */
export async function findOrMakeHook(
  call: Call,
  options: {
    readonly earlier: Earlier;
    readonly dialect: string;
    readonly channelId: string;
    readonly publicUrl: string;
    readonly notes: string[];
  },
): Promise<Hook> {
  const { earlier, dialect, channelId, publicUrl, notes } = options;
  const id = earlier.hookIds[dialect];
  if (id === undefined) return makeHook(call, dialect, channelId);
  const url = moveUrl(earlier, dialect, publicUrl);
  const { status, body } = await call("GET", `/incoming-hooks/${encodeURIComponent(id)}`);
  if (status !== 200 && status !== 404 && url !== undefined) {
    notes.push(`the demo ${dialect} hook could not be checked: the API answered ${status}`);
    return { id, url }; // kept: its URL is known nowhere else
  }
  const why = describeChange(status === 200 ? body : undefined, url, channelId);
  if (why === undefined && url !== undefined) return { id, url };
  const made = await makeHook(call, dialect, channelId);
  notes.push(`the demo ${dialect} hook ${why}: a new one was made`);
  return made;
}

/** The URL of an earlier run, which follows the public address; undefined when there is none. */
export function moveUrl(earlier: Earlier, dialect: string, publicUrl: string): string | undefined {
  const old = earlier.hookUrls[dialect];
  if (old === undefined || earlier.url === undefined || !old.startsWith(earlier.url))
    return undefined;
  return publicUrl + old.slice(earlier.url.length);
}

/** Why a hook cannot be used as it was; undefined when it can. */
function describeChange(
  hook: Record<string, unknown> | undefined,
  url: string | undefined,
  channelId: string,
): string | undefined {
  if (!hook) return "was deleted";
  if (hook.state !== "active") return `is ${String(hook.state)}`;
  const target = hook.target as { channel_id?: unknown } | null | undefined; // read with care
  if (target?.channel_id !== channelId) return "writes somewhere else";
  return url === undefined ? "is there, but not its URL in demo.json" : undefined;
}

async function makeHook(call: Call, dialect: string, channelId: string): Promise<Hook> {
  const form = {
    dialect,
    action: "chat_message",
    target: { channel_id: channelId },
    name: `Demo ${dialect}`,
  };
  const answer = await call("POST", "/incoming-hooks", form);
  const hook = expectBody(answer, `making the ${dialect} hook`);
  return { id: readText(hook, "id"), url: readText(hook, "url") };
}
