/** The demo: a team with a channel, a person and a hook of each dialect, made once through the front door. */

import { readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Call, createCaller, expectBody, readText } from "./api.ts";
import { LocalFault } from "./fault.ts";
import type { PartAddresses } from "./parts.ts";
import type { Secrets } from "./secrets.ts";

const TEAM = { name: "demo", display_name: "Demo" };
const CHANNEL = { name: "alerts", display_name: "Town of alerts" };
const PERSON = { name: "sam", display_name: "Sam" };

/** The dialects that have a hook, all into the one channel. */
const DIALECTS = ["headgate", "mattermost", "monotree"] as const;

type Named = { id: string; name: string };

/** What `demo.json` holds, for scripts and tests. Keys are added as services come, and not renamed. */
export type Demo = {
  readonly url: string;
  readonly admin: { readonly name: string; readonly password: string; readonly token: string };
  readonly team: Named;
  readonly channel: Named;
  readonly person: Named & { readonly token: string };
  readonly hooks: Readonly<Record<(typeof DIALECTS)[number], string>>;
  readonly parts: { readonly kafka: string; readonly postgres: string; readonly redis: string };
};

/** The demo of an earlier run, and the ids of its hooks, which are kept in a file of their own to find them again. */
type Known = { readonly demo: Partial<Demo>; readonly hookIds: Partial<Record<string, string>> };

/**
 * Makes what is missing of the demo and writes it to `file` (mode 0600); what is there already is used again.
 * @param local where the gateway is reached from here @param publicUrl the address that hooks are shown with
 * @throws LocalFault when the API refuses
 */
export async function seedDemo(options: {
  readonly file: string;
  readonly local: string;
  readonly publicUrl: string;
  readonly secrets: Secrets;
  readonly parts: PartAddresses;
}): Promise<Demo> {
  const { file, local, publicUrl, secrets, parts } = options;
  const idsFile = join(dirname(file), "demo-hooks.json");
  const known: Known = {
    demo: await readJson<Demo>(file),
    hookIds: await readJson<Record<string, string>>(idsFile),
  };
  const call = createCaller(local, secrets.adminToken);
  await checkAdmin(call);
  const team = await findOrMake(call, { list: "/teams?limit=200", path: "/teams", form: TEAM });
  const channel = await findOrMake(call, {
    list: `/channels?limit=200&team_id=${team.id}`,
    path: "/channels",
    form: { ...CHANNEL, team_id: team.id },
  });
  const person = await findOrMake(call, {
    list: `/users?limit=200&team_id=${team.id}`,
    path: "/users",
    form: { ...PERSON, team_id: team.id, password: secrets.personPassword },
  });
  await reviveUser(call, person);
  const member = { user_id: person.id };
  expectBody(await call("POST", `/channels/${channel.id}/members`, member), "joining the channel");
  const token = await readPersonToken({ local, known, person, password: secrets.personPassword });

  const hooks: Record<string, string> = {};
  const hookIds: Record<string, string> = {};
  for (const dialect of DIALECTS) {
    const hook =
      (await findHook(call, { known, dialect, channel, publicUrl })) ??
      (await makeHook(call, { dialect, channel }));
    hooks[dialect] = hook.url;
    hookIds[dialect] = hook.id;
  }
  const demo: Demo = {
    url: publicUrl,
    admin: {
      name: secrets.adminName,
      password: secrets.adminPassword,
      token: secrets.adminToken,
    },
    team,
    channel,
    person: { ...person, token },
    hooks: hooks as Demo["hooks"], // the loop above filled every dialect
    parts: {
      kafka: parts.kafkaBrokers.join(","),
      postgres: parts.databaseUrl,
      redis: parts.redisUrl,
    },
  };
  await writeFile(idsFile, `${JSON.stringify(hookIds, null, 2)}\n`, { mode: 0o600 });
  await writeFile(`${file}.new`, `${JSON.stringify(demo, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return demo;
}

async function checkAdmin(call: Call): Promise<void> {
  const me = await call("GET", "/me");
  if (me.status === 401) {
    throw new LocalFault(
      "the database has users already, and the admin of this data folder is not among them: give another DATABASE_URL, or the secrets.json that belongs to it",
    );
  }
  expectBody(me, "asking who the admin is");
}

async function findOrMake(
  call: Call,
  {
    list,
    path,
    form,
  }: { list: string; path: string; form: { name: string } & Record<string, string> },
): Promise<Named> {
  const page = expectBody(await call("GET", list), `listing ${path}`);
  const rows = Array.isArray(page.data) ? page.data : [];
  const found = rows.find((row) => row.name === form.name);
  const made = found ?? expectBody(await call("POST", path, form), `making ${form.name}`);
  return { id: readText(made, "id"), name: readText(made, "name") };
}

/** Somebody may have tried out on the demo's person what deactivating does. */
async function reviveUser(call: Call, { id }: Named): Promise<void> {
  const user = expectBody(await call("GET", `/users/${id}`), "asking for the demo's person");
  if (user.deactivated_at === null) return;
  expectBody(
    await call("PATCH", `/users/${id}`, { is_active: true }),
    "reviving the demo's person",
  );
}

/** The token of an earlier run while it is good; else a new one, made by the person. */
async function readPersonToken(options: {
  local: string;
  known: Known;
  person: Named;
  password: string;
}): Promise<string> {
  const { local, known, person, password } = options;
  const old = known.demo.person?.token;
  if (old) {
    const me = await createCaller(local, old)("GET", "/me");
    if (me.status === 200 && me.body?.id === person.id) return old;
  }
  const login = { name: person.name, password };
  const session = expectBody(
    await createCaller(local)("POST", "/sessions", login),
    "logging in the demo's person",
  );
  const call = createCaller(local, readText(session, "token"));
  const token = readText(
    expectBody(await call("POST", "/tokens", { name: "demo" }), "making a token"),
    "token",
  );
  await call("DELETE", "/sessions/current");
  return token;
}

type Hook = { readonly id: string; readonly url: string };

/** The hook of an earlier run while it is active; its address follows the public one. */
async function findHook(
  call: Call,
  options: { known: Known; dialect: string; channel: Named; publicUrl: string },
): Promise<Hook | undefined> {
  const { known, dialect, channel, publicUrl } = options;
  const oldUrl = known.demo.url;
  const id = known.hookIds[dialect];
  const old = Object.entries(known.demo.hooks ?? {}).find(([name]) => name === dialect)?.[1];
  if (!id || !old || !oldUrl || !old.startsWith(oldUrl)) return undefined;
  const { status, body } = await call("GET", `/incoming-hooks/${id}`);
  const target = body?.target as { channel_id?: string } | undefined; // checked member by member
  const same = body?.state === "active" && target?.channel_id === channel.id;
  return status === 200 && same ? { id, url: publicUrl + old.slice(oldUrl.length) } : undefined;
}

async function makeHook(
  call: Call,
  { dialect, channel }: { dialect: string; channel: Named },
): Promise<Hook> {
  const form = {
    dialect,
    action: "chat_message",
    target: { channel_id: channel.id },
    name: `Demo ${dialect}`,
  };
  const hook = expectBody(
    await call("POST", "/incoming-hooks", form),
    `making the ${dialect} hook`,
  );
  return { id: readText(hook, "id"), url: readText(hook, "url") };
}

/** What a file of an earlier run holds; nothing where it is missing or damaged. */
async function readJson<T extends object>(file: string): Promise<Partial<T>> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    return {};
  }
}
