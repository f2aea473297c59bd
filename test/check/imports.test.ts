/** The import guards of biome.json hold: who may import whom, as README.md draws it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { beforeAll, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const BIOME = join(ROOT, "node_modules", "@biomejs", "biome", "bin", "biome");

/** An import at a path of the project, which need not exist. */
type Case = readonly [what: string, path: string, specifier: string];

const REFUSED: readonly Case[] = [
  ["a library outside of its door", "services/chat/src/store.ts", "pg"],
  ["a library outside of its door", "services/chat/src/row.ts", "kafkajs"],
  ["a library in another's door", "services/kit/src/kafka/link.ts", "pg"],
  ["a library outside of its door", "services/registry/src/main.ts", "@grpc/grpc-js"],
  ["telemetry's library", "services/gateway/src/hot.ts", "@opentelemetry/api"],
  ["express on the hot way", "services/gateway/src/hot.ts", "express"],
  ["testcontainers outside of its file", "test/e2e/x.test.ts", "testcontainers"],
  ["another service", "services/chat/src/clients.ts", "@headgate/registry/service"],
  ["contracts in the kit", "services/kit/src/log.ts", "@headgate/proto/topics"],
  ["a service in the contracts", "proto/topics.ts", "@headgate/chat/service"],
  ["the kit in the contracts", "proto/topics.ts", "@headgate/kit/ids"],
  ["the store in the rules", "services/chat/src/service.ts", "./store.ts"],
  ["I/O in the rules", "services/chat/src/service.ts", "@headgate/kit/kafka"],
  ["a clock and randomness in the rules", "services/chat/src/service.ts", "@headgate/kit/ids"],
  ["the store in the consumer", "services/chat/src/consumer.ts", "./store.ts"],
  ["the rpcs in the store", "services/registry/src/store-reads.ts", "./grpc.ts"],
  ["settings in the rpcs", "services/chat/src/grpc.ts", "./config.ts"],
  ["another dialect", "services/gateway/src/dialects/monotree/map.ts", "../mattermost/markup.ts"],
  [
    "another dialect, from a folder below",
    "services/gateway/src/dialects/headgate/api/users.ts",
    "../../monotree/trim.ts",
  ],
];

const ALLOWED: readonly Case[] = [
  ["its library to a door", "services/kit/src/postgres/query.ts", "pg"],
  ["express to a dialect's routes", "services/gateway/src/dialects/x/routes.ts", "express"],
  ["the rules to the store", "services/chat/src/store.ts", "./service.ts"],
  ["a door to the store", "services/chat/src/store.ts", "@headgate/kit/postgres"],
  ["contracts to the rules", "services/chat/src/service.ts", "@headgate/proto/chat/v1/chat"],
  ["the seam to a dialect", "services/gateway/src/dialects/monotree/map.ts", "../../dialect.ts"],
  ["anything to the tests", "test/integration/x.test.ts", "@headgate/registry/service"],
];

/** What Biome finds in files that are made for it, under the project's own settings: `<rule> <path>:<line>` each. */
function lint(files: Readonly<Record<string, string>>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "headgate-lint-")));
  try {
    const { vcs: _vcs, ...settings } = JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8"));
    writeFileSync(join(folder, "biome.json"), JSON.stringify(settings));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const args = [BIOME, "lint", "--reporter=github", "--max-diagnostics=none", "."];
    const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    const found = stdout.matchAll(/^::error title=([^,]+),file=([^,]+),line=(\d+)/gm);
    return [...found]
      .map(([, rule, path, line]) => `${rule} ${relative(folder, path ?? "")}:${line}`)
      .join("\n");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One import a line: all cases of one path in one file. */
const files: Record<string, string> = {};
const places = new Map<Case, string>();
for (const one of [...REFUSED, ...ALLOWED]) {
  const [, path, specifier] = one;
  const text = files[path] ?? "";
  places.set(one, `${path}:${text.split("\n").length}`);
  files[path] = `${text}export { x${places.size} } from "${specifier}";\n`;
}
let found: readonly string[] = [];

beforeAll(() => {
  found = lint(files).split("\n");
});

test.each(REFUSED.map((one) => [`${one[0]}: ${one[2]} in ${one[1]}`, one] as const))(
  "refuses %s",
  (_what, one) => {
    expect(found).toContain(`lint/style/noRestrictedImports ${places.get(one)}`);
  },
);

test.each(ALLOWED.map((one) => [`${one[0]}: ${one[2]} in ${one[1]}`, one] as const))(
  "allows %s",
  (_what, one) => {
    expect(found).not.toContain(`lint/style/noRestrictedImports ${places.get(one)}`);
  },
);

test("refuses a cycle of imports", () => {
  const output = lint({
    "services/chat/src/a.ts": `import { b } from "./b.ts";\nexport const a = () => b;\n`,
    "services/chat/src/b.ts": `import { a } from "./a.ts";\nexport const b = () => a;\n`,
  });
  expect(output).toContain("lint/suspicious/noImportCycles");
});
