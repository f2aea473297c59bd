/** The demo against an API of a few lines, for what a real one would need much tidying up to show. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { seedDemo } from "./demo.ts";
import type { Secrets } from "./secrets.ts";

const SECRETS = {
  adminName: "admin",
  adminPassword: "password-1",
  adminToken: "hg_admin",
  personPassword: "password-2",
} as Secrets; // the others are not looked at
const PARTS = { kafkaBrokers: ["127.0.0.1:1"], databaseUrl: "postgres://x", redisUrl: "redis://x" };

type Row = Record<string, unknown> & { id: string; name: string };
/** Rows by collection; `hidden` names are taken, but in no list. */
type Tables = Record<"teams" | "channels" | "users" | "incoming-hooks", Row[]> & {
  hidden: string[];
};

/** An API with these rows; `refuse` answers what it returns instead. */
async function openApi(
  tables: Partial<Tables> = {},
  refuse: (method: string, path: string) => number | undefined = () => undefined,
) {
  const rows: Tables = {
    teams: [],
    channels: [],
    users: [],
    "incoming-hooks": [],
    hidden: [],
    ...tables,
  };
  let made = 0;
  const answer = (method: string, path: string, body: Row): [number, object?] => {
    const [, collection = "", id] = path.split("/");
    if (path === "/me") return [200, { id: rows.users[0]?.id ?? "", is_system_admin: true }];
    if (collection === "sessions" || collection === "tokens") {
      return [201, { token: `hg_${++made}`, user: { is_system_admin: true } }];
    }
    const table = rows[collection as keyof Omit<Tables, "hidden">];
    if (method === "POST" && id) return [201, {}];
    if (method === "POST") {
      const isTaken = table.some(
        ({ name }) => name === body.name && collection !== "incoming-hooks",
      );
      if (isTaken || rows.hidden.includes(body.name))
        return [409, { detail: "The name is taken." }];
      const row = {
        ...body,
        id: `${collection}-${++made}`,
        state: "active",
        url: `http://h/in/${made}`,
      };
      table.push(row);
      return [201, row];
    }
    if (!id) return [200, { data: table, next: null }];
    const row = table.find((one) => one.id === id);
    return row ? [200, row] : [404, { detail: "There is no such thing." }];
  };
  const server = createServer((req, res) => {
    let text = "";
    req.on("data", (chunk) => {
      text += chunk;
    });
    req.on("end", () => {
      const { method = "", url = "" } = req;
      const path = url.replace("/api/headgate/v1", "").split("?")[0] ?? "";
      const refused = refuse(method, path);
      const [status, body] = refused
        ? [refused, { detail: "Refused." }]
        : answer(method, path, JSON.parse(text || "{}"));
      res
        .writeHead(status, { "content-type": "application/json" })
        .end(body && JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const local = `http://127.0.0.1:${(server.address() as { port: number }).port}`; // TCP: it has one
  const folder = await mkdtemp(join(tmpdir(), "headgate-demo-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "demo.json");
  const seed = () =>
    seedDemo({ file, local, publicUrl: "http://h", secrets: SECRETS, parts: PARTS });
  return { rows, file, seed };
}

test("an empty system gets the whole demo, and the next start finds it without a note", async () => {
  const { seed, file } = await openApi();
  const first = await seed();
  expect(first).toMatchObject({ isChecked: true, notes: [] });
  expect(Object.values(first.demo.hooks)).toEqual([
    expect.stringContaining("/in/"),
    expect.stringContaining("/in/"),
    expect.stringContaining("/in/"),
  ]);
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(first.demo);
  expect(await seed()).toEqual(first);
});

test("a demo.json of another database is replaced, and each thing that was made is named", async () => {
  const { seed, file } = await openApi();
  const foreign = (name: string) => ({ id: `foreign-${name}`, name });
  const earlier = {
    url: "http://h",
    team: foreign("t"),
    channel: foreign("c"),
    person: foreign("p"),
  };
  await writeFile(file, JSON.stringify(earlier));
  const { demo, notes } = await seed();
  expect([demo.team.name, demo.channel.name, demo.person.name]).toEqual(["demo", "alerts", "sam"]);
  expect(notes.filter((note) => note.includes("does not exist here"))).toHaveLength(3);
});

test("a name that is taken by what no list shows gets a number behind it", async () => {
  const { seed } = await openApi({ hidden: ["sam", "sam-2"] });
  expect((await seed()).demo.person.name).toBe("sam-3");
  const all = await openApi({ hidden: ["sam", "sam-2", "sam-3", "sam-4", "sam-5"] });
  const { demo, notes } = await all.seed();
  expect(demo.person).toEqual({ id: "", name: "", token: "" });
  expect(notes).toEqual([expect.stringContaining("there is no demo person")]);
});

test("what the API refuses is left out, named, and stops nothing", async () => {
  const { seed } = await openApi({}, (method, path) =>
    method === "POST" && path === "/incoming-hooks" ? 500 : undefined,
  );
  const { demo, notes } = await seed();
  expect(demo.hooks).toEqual({ headgate: "", mattermost: "", monotree: "" });
  expect(demo.channel.name).toBe("alerts");
  expect(notes).toHaveLength(3);
  const nothing = await openApi({}, () => 500);
  expect((await nothing.seed()).demo.team).toEqual({ id: "", name: "" });
});

test("the URL of a hook that cannot be checked is kept", async () => {
  let isSick = false;
  const { seed } = await openApi({}, (method, path) =>
    isSick && method === "GET" && path.startsWith("/incoming-hooks/") ? 500 : undefined,
  );
  const first = await seed();
  isSick = true;
  const second = await seed();
  expect(second.demo).toEqual(first.demo);
  expect(second.notes).toHaveLength(3);
});
