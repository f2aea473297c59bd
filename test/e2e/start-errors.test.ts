/** `npm start` where it cannot start: one line says why, the exit code is not 0, and no process stays. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { npmStart } from "../support/npm-start.ts";
import { findPort } from "../support/ports.ts";

const SECRET = "a-secret-password";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "headgate-errors-"));
  await writeFile(join(folder, "file"), "");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a start to its end. */
async function failedStart(settings: NodeJS.ProcessEnv, args: string[] = []) {
  const HEADGATE_PORT = String(await findPort());
  const start = npmStart({ HEADGATE_PORT, ...settings }, args);
  const code = await start.ended;
  return { code, stderr: start.stderr(), output: start.output() };
}

/** Ids of processes whose command line holds a text. */
async function findProcesses(text: string): Promise<string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    ids.map((id) => readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")),
  );
  return ids.filter((_, at) => commands[at]?.includes(text));
}

describe.concurrent("one line and an exit code say", () => {
  test.each([
    ["KAFKA_BROKERS", "127.0.0.1:1", "127.0.0.1:1"],
    ["DATABASE_URL", `postgres://me:${SECRET}@127.0.0.1:1/db`, "127.0.0.1:1/db"],
    ["REDIS_URL", `redis://me:${SECRET}@127.0.0.1:1`, "127.0.0.1:1"],
  ])(
    "that the server of %s does not answer, and where it should be",
    async (name, value, shown) => {
      const HEADGATE_DATA = join(folder, name);
      const { code, stderr, output } = await failedStart({ HEADGATE_DATA, [name]: value });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^${name}: ${shown} gave no usable answer within 6 s .*\\n$`),
      );
      expect(output).not.toContain(SECRET);
    },
  );

  test.each([
    ["a file", () => join(folder, "file"), "there is a file of that name"],
    ["below a file", () => join(folder, "file", "x"), "a part of the path is a file"],
    ["in /proc", () => "/proc/headgate", "does not take new files"],
  ])("that the data folder cannot be %s", async (_, path, why) => {
    const { code, stderr } = await failedStart({ HEADGATE_DATA: path() });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^\S+ cannot be the data folder: .* set HEADGATE_DATA .*\n$/);
    expect(stderr).toContain(why);
  });

  test("that HEADGATE_HOST is no address of this machine", async () => {
    const HEADGATE_DATA = join(folder, "host");
    const { code, stderr } = await failedStart({ HEADGATE_DATA, HEADGATE_HOST: "203.0.113.7" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^HEADGATE_HOST is 203\.0\.113\.7, .*EADDRNOTAVAIL.*\n$/);
  });

  test("that an argument or a setting is unknown", async () => {
    const HEADGATE_DATA = join(folder, "unknown");
    const argument = await failedStart({ HEADGATE_DATA }, ["--prot", "80"]);
    expect([argument.code, argument.stderr]).toEqual([64, expect.stringContaining("--prot")]);
    const setting = await failedStart({ HEADGATE_DATA, HEADGATE_PROT: "80" });
    expect([setting.code, setting.stderr]).toEqual([78, expect.stringContaining("HEADGATE_PROT")]);
  });
});

test("--help prints usage and settings, and starts nothing", async () => {
  const HEADGATE_DATA = join(folder, "help");
  const { code, output } = await failedStart({ HEADGATE_DATA }, ["--help"]);
  expect(code).toBe(0);
  expect(output).toContain("Usage: npm start");
  expect(output).toContain("HEADGATE_DATA");
  expect(await readdir(folder)).not.toContain("help");
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s before it is ready ends it with %i, and no process stays", async (signal, code) => {
  const HEADGATE_DATA = join(folder, signal);
  const start = npmStart({ HEADGATE_DATA, HEADGATE_PORT: String(await findPort()) });
  await eventually(() => start.isOver() || start.output().includes("starting"));
  start.kill(signal);
  expect(await start.ended, start.output()).toBe(code);
  expect(start.output()).not.toMatch(/^ready/m);
  expect(start.output()).toContain("stopped before it was ready");
  expect(await findProcesses(HEADGATE_DATA)).toEqual([]);
});
