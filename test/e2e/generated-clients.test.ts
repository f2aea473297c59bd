/** Clients that users make from the OpenAPI of a running server: in TypeScript and in Python, typed, on a whole journey. */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type System, useSystem } from "../support/system.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const SOURCES = join(ROOT, "test", "clients");
/** Tools that are installed once, and what one run makes. */
const TOOLS = join(ROOT, ".cache", "clients");
const TIMEOUT_MS = 600_000;
const READ = [
  ["disk 91 % on db-3", null],
  [null, "resolved"],
];

let system: System;
beforeAll(async () => {
  system = await useSystem();
});

test(
  "a TypeScript client drives a journey, and its types find a misspelt event",
  async () => {
    const tools = await install("typescript", "package-lock.json", async (folder) => {
      expect(await run("npm", ["ci"], folder)).toMatchObject({ code: 0 });
    });
    const folder = await prepare(tools, "typescript");
    await run(
      join(tools, "node_modules", ".bin", "openapi-typescript"),
      ["openapi.json", "-o", "schema.d.ts"],
      folder,
    );
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    expect(await run(tsc, ["-p", "."], folder)).toMatchObject({ code: 0, out: "" });
    const { out } = await run(tsc, ["-p", "tsconfig.typo.json"], folder);
    expect(linesOf(out, /typo\.ts\((\d+),/)).toEqual(await mistakesIn("typescript", "typo.ts"));
    const journey = await run(process.execPath, ["journey.ts"], folder);
    expect(journey).toMatchObject({ code: 0 });
    expect(JSON.parse(journey.out)).toEqual({
      found: [true],
      read: [
        [...(READ[0] ?? []), { host: "db-3", free: [9] }],
        [...(READ[1] ?? []), null],
      ],
      streamed: ["disk 91 % on db-3", "resolved"],
      refused: ["/name"],
    });
  },
  TIMEOUT_MS,
);

test(
  "a Python client drives a journey, and its types find a misspelt event",
  async () => {
    const tools = await install("python", "requirements.txt", async (folder) => {
      expect(await run("python3", ["-m", "venv", "."], folder)).toMatchObject({ code: 0 });
      const pip = ["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
      expect(await run(join(folder, "bin", "pip"), pip, folder)).toMatchObject({ code: 0 });
    });
    const bin = join(tools, "bin");
    const folder = await prepare(tools, "python");
    const generate = [
      "generate",
      "--path",
      "openapi.json",
      "--meta",
      "none",
      "--output-path",
      "headgate_client",
    ];
    expect(await run(join(bin, "openapi-python-client"), generate, folder)).toMatchObject({
      code: 0,
    });
    const mypy = (file: string) =>
      run(
        join(bin, "mypy"),
        ["--strict", "--follow-imports=silent", "--cache-dir", join(tools, "mypy"), file],
        folder,
      );
    expect(await mypy("journey.py")).toMatchObject({ code: 0 });
    const { out } = await mypy("typo.py");
    expect(linesOf(out, /typo\.py:(\d+): error/)).toEqual(await mistakesIn("python", "typo.py"));
    const journey = await run(join(bin, "python"), ["journey.py"], folder);
    expect(journey).toMatchObject({ code: 0 });
    const streamed = ["disk 91 % on db-3", "resolved"];
    expect(JSON.parse(journey.out)).toEqual({ found: [true], read: READ, streamed });
  },
  TIMEOUT_MS,
);

/** The folder of a language's tools, installed when its lock changed. */
async function install(
  language: string,
  lock: string,
  work: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(TOOLS, language);
  const wanted = await readFile(join(SOURCES, language, lock), "utf8");
  const mark = join(folder, ".installed");
  if ((await readFile(mark, "utf8").catch(() => "")) === wanted) return folder;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const file of language === "python" ? [lock] : [lock, "package.json"]) {
    await cp(join(SOURCES, language, file), join(folder, file));
  }
  await work(folder);
  await writeFile(mark, wanted);
  return folder;
}

/** A folder below the tools with the programs and the description of the running server. */
async function prepare(tools: string, language: string): Promise<string> {
  const folder = join(tools, `run-${process.pid}`);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp(join(SOURCES, language), folder, { recursive: true });
  const response = await fetch(`${system.url}/api/headgate/v1/openapi.json`);
  await writeFile(join(folder, "openapi.json"), await response.text());
  return folder;
}

function run(
  command: string,
  given: readonly string[],
  cwd: string,
): Promise<{ code: unknown; out: string; err: string }> {
  const { PATH = "", HOME = "" } = process.env;
  const own = { HEADGATE_URL: system.url, TOKEN: system.admin.token, TEAM_ID: system.team.id };
  const options = { cwd, env: { PATH, HOME, ...own }, timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    execFile(command, given, options, (error, out, err) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, out, err });
    });
  });
}

/** Numbers of lines, each once. */
function linesOf(out: string, pattern: RegExp): number[] {
  const numbers = out.split("\n").flatMap((line) => Number(pattern.exec(line)?.[1] ?? []));
  return [...new Set(numbers)].filter((number) => number > 0);
}

async function mistakesIn(language: string, file: string): Promise<number[]> {
  const lines = (await readFile(join(SOURCES, language, file), "utf8")).split("\n");
  return lines.flatMap((line, at) => (line.endsWith(" mistake") ? [at + 1] : []));
}
