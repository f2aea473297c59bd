/** The demo: a team with a channel, a person and a hook of each dialect, made through the front door. */
import { dirname, join } from "node:path";
import { type Call, type CallerOf, createCallers, expectBody } from "./api.ts";
import { type Admin, checkAdmin } from "./demo/admin.ts";
import { type Earlier, readEarlier } from "./demo/earlier.ts";
import { DIALECTS, findOrMakeHook, type Hook, moveUrl } from "./demo/hooks.ts";
import { findOrMake, type Place, readPersonToken } from "./demo/places.ts";
import { writeSecretJson } from "./files.ts";
import type { PartAddresses } from "./parts.ts";
import { type Secrets, writeSecrets } from "./secrets.ts";

const TEAM = { name: "demo", display_name: "Demo" };
const CHANNEL = { name: "alerts", display_name: "Town of alerts" };
const PERSON = { name: "sam", display_name: "Sam" };

type Named = { readonly id: string; readonly name: string };

/**
 * What `demo.json` holds, for scripts and tests. All keys are always there; a text is empty where the thing does not
 * exist or may not be shown any more. Keys are added as services come, and not renamed.
 */
export type Demo = {
  readonly url: string;
  readonly admin: { readonly name: string; readonly password: string; readonly token: string };
  readonly team: Named;
  readonly channel: Named;
  readonly person: Named & { readonly token: string };
  readonly hooks: Readonly<Record<(typeof DIALECTS)[number], string>>;
  readonly parts: { readonly kafka: string; readonly postgres: string; readonly redis: string };
};

/** The demo as it is now. */
export type SeededDemo = {
  readonly demo: Demo;
  /** Whether team, channel, person and hooks were looked at; false when no admin's token is known. */
  readonly isChecked: boolean;
  /** One line for each thing that is not as the first start made it. */
  readonly notes: readonly string[];
};

const NOTHING: Named = { id: "", name: "" };

/**
 * Finds the demo again, makes what is missing and can be made, and writes it to `file` (mode 0600). Never fails for what
 * people did to the demo or the admin, nor for what the API refuses: that is left out, with a line in `notes`.
 * @param local where the gateway is reached from here @param publicUrl the address that hooks are shown with
 */
export async function seedDemo(options: {
  readonly file: string;
  readonly local: string;
  readonly publicUrl: string;
  readonly secrets: Secrets;
  readonly parts: PartAddresses;
}): Promise<SeededDemo> {
  const { file, local, publicUrl, secrets, parts } = options;
  const folder = dirname(file);
  const idsFile = join(folder, "demo-hooks.json");
  const earlier = await readEarlier(file, idsFile);
  const callerOf = createCallers(local);
  const notes: string[] = [];
  const admin = await attempt(notes, "the admin could not be checked", () =>
    checkAdmin(callerOf, secrets, notes),
  );
  const content = admin?.token
    ? await seedContent({
        ...{ callerOf, earlier, publicUrl, secrets, notes },
        call: callerOf(admin.token),
      })
    : keepContent(earlier, publicUrl);
  const demo: Demo = {
    url: publicUrl,
    admin: renderAdmin(secrets, admin),
    ...content.demo,
    parts: {
      kafka: parts.kafkaBrokers.join(","),
      postgres: parts.databaseUrl,
      redis: parts.redisUrl,
    },
  };
  await attempt(notes, "demo.json could not be written", async () => {
    if (admin?.isNewToken) await writeSecrets(folder, { ...secrets, adminToken: demo.admin.token });
    await writeSecretJson(idsFile, content.hookIds);
    await writeSecretJson(file, demo);
  });
  return { demo, isChecked: admin?.token !== undefined, notes };
}

function renderAdmin({ adminName: name }: Secrets, admin: Admin | undefined): Demo["admin"] {
  return { name, password: admin?.password ?? "", token: admin?.token ?? "" };
}

type Content = {
  readonly demo: Pick<Demo, "team" | "channel" | "person" | "hooks">;
  readonly hookIds: Readonly<Record<string, string>>;
};

/** What an earlier run knew, unchecked: its URLs are shown nowhere else. */
function keepContent(earlier: Earlier, publicUrl: string): Content {
  const keep = (id: string | undefined, name: string): Named => ({ id: id ?? "", name });
  const { names } = earlier;
  const person = keep(earlier.personId, names.person);
  return {
    demo: {
      team: keep(earlier.teamId, names.team),
      channel: keep(earlier.channelId, names.channel),
      person: { ...person, token: earlier.personToken ?? "" },
      hooks: mapDialects((dialect) => moveUrl(earlier, dialect, publicUrl) ?? ""),
    },
    hookIds: earlier.hookIds,
  };
}

/** What the steps of the demo share. */
type Tools = {
  readonly callerOf: CallerOf;
  /** Calls as the admin. */
  readonly call: Call;
  readonly earlier: Earlier;
  readonly publicUrl: string;
  readonly secrets: Secrets;
  readonly notes: string[];
};

async function seedContent(tools: Tools): Promise<Content> {
  const { earlier, notes } = tools;
  const team = await seedPlace(tools, "team", {
    earlierId: earlier.teamId,
    path: "/teams",
    form: TEAM,
  });
  if (!earlier.isThere && team?.isNew === false) {
    notes.push("demo.json was missing or damaged: it is written anew");
  }
  const [channel, person] =
    team && !team.isEnded ? await seedTeam(tools, team) : [undefined, undefined];
  const token = person && (await seedPersonToken(tools, person));
  if (channel && person) await joinChannel(tools, channel, person);
  const hooks = channel ? await seedHooks(tools, channel) : {};
  return {
    demo: {
      team: toNamed(team),
      channel: toNamed(channel),
      person: { ...toNamed(person), token: token ?? "" },
      hooks: mapDialects((dialect) => hooks[dialect]?.url ?? ""),
    },
    hookIds: Object.fromEntries(Object.entries(hooks).map(([dialect, { id }]) => [dialect, id])),
  };
}

/** Its channel and its person; the latter is looked for among the members of the team only. */
function seedTeam(tools: Tools, team: Place) {
  const { earlier, secrets } = tools;
  return Promise.all([
    seedPlace(tools, "channel", {
      earlierId: earlier.channelId,
      path: "/channels",
      list: `/channels?team_id=${team.id}`,
      form: { ...CHANNEL, team_id: team.id },
      isRight: (row) => row.team_id === team.id,
    }),
    seedPlace(tools, "person", {
      earlierId: earlier.personId,
      path: "/users",
      list: `/users?team_id=${team.id}`,
      form: { ...PERSON, team_id: team.id, password: secrets.personPassword },
    }),
  ]);
}

/** Finds or makes one of them, and says what is different about it. */
async function seedPlace(
  { call, earlier, notes }: Tools,
  what: string,
  wanted: Parameters<typeof findOrMake>[1],
): Promise<Place | undefined> {
  const place = await attempt(notes, `there is no demo ${what}`, () => findOrMake(call, wanted));
  if (place?.isNew && earlier.isThere) {
    notes.push(`the demo ${what} of demo.json does not exist here: "${place.name}" was made`);
  }
  if (place?.isEnded && what === "team") notes.push("the demo team is archived: there is no demo");
  if (place?.isEnded && what === "channel") {
    notes.push(`the demo channel "${place.name}" is archived: there are no demo hooks`);
  }
  return place;
}

function seedPersonToken(
  { callerOf, earlier, secrets, notes }: Tools,
  person: Place,
): Promise<string | undefined> {
  const password = secrets.personPassword;
  return attempt(notes, "there is no token of the demo person", () =>
    readPersonToken(callerOf, { earlier, person, password, notes }),
  );
}

/** Once: people who left the channel, or were taken out of it, are not put back. */
async function joinChannel(
  { call, earlier, notes }: Tools,
  channel: Place,
  person: Place,
): Promise<void> {
  const wasIn = earlier.channelId === channel.id && earlier.personId === person.id;
  if (wasIn || channel.isEnded || person.isEnded) return;
  const path = `/channels/${channel.id}/members`;
  await attempt(notes, "the demo person is not in the demo channel", async () =>
    expectBody(await call("POST", path, { user_id: person.id }), "joining it"),
  );
}

async function seedHooks(
  { call, earlier, publicUrl, notes }: Tools,
  channel: Place,
): Promise<Record<string, Hook>> {
  if (channel.isEnded) return {};
  const options = { earlier, channelId: channel.id, publicUrl };
  const tasks = DIALECTS.map((dialect) => {
    const own: string[] = []; // the lines stay in the order of the dialects
    const hook = attempt(own, `there is no demo ${dialect} hook`, () =>
      findOrMakeHook(call, { ...options, dialect, notes: own }),
    );
    return hook.then((found) => ({ dialect, found, own }));
  });
  const hooks: Record<string, Hook> = {};
  for (const { dialect, found, own } of await Promise.all(tasks)) {
    if (found) hooks[dialect] = found;
    notes.push(...own);
  }
  return hooks;
}

function toNamed(place: Place | undefined): Named {
  return place ? { id: place.id, name: place.name } : NOTHING;
}

function mapDialects(render: (dialect: string) => string): Demo["hooks"] {
  const entries = DIALECTS.map((dialect) => [dialect, render(dialect)] as const);
  return Object.fromEntries(entries) as Demo["hooks"]; // every dialect has an entry
}

/** Runs a step; what it throws becomes a line: the demo stops nothing. */
async function attempt<T>(
  notes: string[],
  what: string,
  step: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await step();
  } catch (thrown) {
    notes.push(`${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    return undefined;
  }
}
