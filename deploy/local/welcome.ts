/** What `npm start` prints when the system is ready: where things are, what to try, and what is not as people expect. */
import { join } from "node:path";
import type { System } from "./system.ts";

/** What the lines are made from. */
export type Welcome = Pick<
  System,
  "publicUrl" | "url" | "demo" | "isChecked" | "notes" | "dataDir" | "logFolder" | "opsUrls"
>;

/** The lines. They show the admin's password and the URL of one hook, and no other secret. */
export function renderWelcome(system: Welcome): string[] {
  const { publicUrl, demo, dataDir, logFolder, opsUrls, notes } = system;
  const { name, password } = demo.admin;
  const opsPorts = Object.entries(opsUrls).map(([service, url]) => `${service} ${url}`);
  return [
    "",
    `Headgate   ${publicUrl}   (API: ${publicUrl}/api/headgate/v1/openapi.json)`,
    `admin      ${name}   password ${password || "(not known)"}`,
    `files      ${join(dataDir, "demo.json")} (ids, tokens, hooks)   ${logFolder} (logs)`,
    `health     ${opsPorts.join("   ")}   (/livez /readyz /metrics)`,
    ...renderTry(system),
    ...notes.map((note) => `note       ${note}`),
    "",
    `ready ${publicUrl}`,
  ];
}

/** Commands to copy: send an event, read the messages. Only those that work. */
function renderTry({ demo, url, isChecked, dataDir }: Welcome): string[] {
  if (!isChecked) return [];
  const { hooks, channel, person, admin } = demo;
  const lines: string[] = [];
  if (hooks.headgate) {
    const json = `'{"text":"disk 91% on db-3"}'`;
    lines.push(`curl -d ${json} -H 'content-type: application/json' ${hooks.headgate}`);
  }
  const reader = person.token ? "person" : admin.token ? "admin" : undefined;
  if (channel.id && reader) {
    const file = quote(join(dataDir, "demo.json"));
    const token = `$(node -p 'require(process.argv[1]).${reader}.token' ${file})`;
    const messages = `${url}/api/headgate/v1/channels/${channel.id}/messages`;
    lines.push(`curl -H "authorization: Bearer ${token}" ${messages}`);
  }
  return lines.length === 0 ? [] : ["try", ...lines];
}

/** A word of a POSIX shell. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
