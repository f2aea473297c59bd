/**
 * `npm run check`: everything that can be said of a change without starting a server. Runs all steps, names each with
 * its time, and fails when one did. `--without-tests` leaves the unit tests out.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { LocalFault } from "./fault.ts";
import { runProgram } from "./programs.ts";
import { ROOT } from "./root.ts";

const STEP_TIMEOUT_MS = 10 * 60_000;

type Step = { readonly name: string; readonly run: () => Promise<void> };

const UNIT_TESTS = "unit tests";

const all: readonly Step[] = [
  { name: "contracts: lint and format", run: () => npm("run", "lint", "-w", "proto") },
  { name: "contracts: generated code is up to date", run: checkGenerated },
  { name: "format, lint, import guards", run: () => bin("biome", "check", "--error-on-warnings") },
  { name: "boundaries between packages", run: () => bin("turbo", "boundaries") },
  {
    name: "types",
    run: () =>
      bin(
        "turbo",
        "run",
        "typecheck",
        `--concurrency=${availableParallelism()}`,
        "--output-logs=errors-only",
      ),
  },
  {
    name: UNIT_TESTS,
    run: () =>
      bin("vitest", "run", "--config=test/vitest.config.ts", "--project=unit", "--reporter=dot"),
  },
];

const steps = process.argv.includes("--without-tests")
  ? all.filter(({ name }) => name !== UNIT_TESTS)
  : all;

const failed: string[] = [];
for (const step of steps) {
  const startedAt = performance.now();
  try {
    await step.run();
    print("ok    ", step, startedAt);
  } catch (error) {
    failed.push(step.name);
    print("FAILED", step, startedAt);
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
  }
}
process.stdout.write(
  failed.length === 0 ? "check passed\n" : `check failed: ${failed.join("; ")}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;

function print(word: string, step: Step, startedAt: number): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${word} ${step.name} (${seconds} s)\n`);
}

function npm(...args: string[]): Promise<void> {
  return run("npm", args);
}

function bin(name: string, ...args: string[]): Promise<void> {
  return run(join(ROOT, "node_modules", ".bin", name), args);
}

function run(command: string, args: readonly string[]): Promise<void> {
  const env = { ...process.env, NO_COLOR: "1", TURBO_TELEMETRY_DISABLED: "1" };
  return runProgram(command, args, { cwd: ROOT, env, timeoutMs: STEP_TIMEOUT_MS });
}

/** Generates anew and wants nothing to differ from what was there. */
async function checkGenerated(): Promise<void> {
  const before = await digestGenerated();
  await npm("run", "generate");
  if ((await digestGenerated()) !== before) {
    throw new LocalFault("proto/gen was not up to date; it is now: commit it with its .proto");
  }
}

async function digestGenerated(): Promise<string> {
  const folder = join(ROOT, "proto", "gen");
  const digest = createHash("sha256");
  for (const path of (await readdir(folder, { recursive: true })).sort()) {
    if (path.endsWith(".ts")) digest.update(path).update(await readFile(join(folder, path)));
  }
  return digest.digest("hex");
}
