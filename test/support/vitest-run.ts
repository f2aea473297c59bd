/** Runs vitest as a process of its own and reads what it found. */
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sweepProcesses } from "@headgate/local/process-table";

/** One test of a run. */
export type TestResult = { readonly name: string; readonly file: string; readonly passed: boolean };

/** How many tests passed and failed; a file that could not run counts as one failed. */
export type Tally = { readonly passed: number; readonly failed: number };

/** What a run found. `exitCode` is 0 only when everything ran and passed. */
export type RunResult = {
  readonly tests: readonly TestResult[];
  readonly tally: Tally;
  readonly exitCode: number;
};

/** The part of vitest's JSON report that is read here. */
type Report = {
  testResults: {
    name: string;
    status: string;
    assertionResults: { fullName: string; status: string }[];
  }[];
};

const ROOT = join(import.meta.dirname, "..", "..");
const REPORT = "report.json";
const VITEST = join(ROOT, "node_modules", "vitest", "vitest.mjs");

/** ms that vitest gets to stop its parts after a signal, before it is killed. */
const STOP_TIMEOUT_MS = 20_000;

type Options = { readonly args: readonly string[]; readonly quiet?: boolean };

/**
 * Runs the tests that `args` pick, shown on our own output unless `quiet`. SIGINT and SIGTERM are passed on. All temporary
 * files of the run are in one folder that is removed behind it, with every process that is noted there, so that a run
 * that was broken off leaves nothing either.
 */
export async function runVitest(options: Options): Promise<RunResult> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-run-"));
  try {
    const exitCode = await spawnVitest(options, folder);
    return judge(exitCode, await readReport(folder));
  } finally {
    const names = await readdir(folder);
    await Promise.all(names.map((name) => sweepProcesses(join(folder, name, "run"))));
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

function judge(exitCode: number, report: Report): RunResult {
  const tests = report.testResults.flatMap(({ name: file, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === "passed" || status === "failed")
      .map(({ fullName, status }) => ({ name: fullName, file, passed: status === "passed" })),
  );
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  const passed = tests.filter((test) => test.passed).length;
  const found = tests.length - passed + brokenFiles.length;
  // An error outside of any test (a global setup, an unhandled rejection) has no line in the report.
  const failed = exitCode !== 0 && found === 0 ? 1 : found;
  return { tests, tally: { passed, failed }, exitCode: failed > 0 ? exitCode || 1 : exitCode };
}

async function spawnVitest(options: Options, folder: string): Promise<number> {
  const plain = process.env.CI === "true" || !process.stdout.isTTY;
  const reporters = options.quiet ? ["--reporter=json"] : ["--reporter=default", "--reporter=json"];
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=TimeoutNegativeWarning",
      VITEST,
      "run",
      "--config=test/vitest.config.ts",
      ...reporters,
      `--outputFile.json=${join(folder, REPORT)}`,
      ...options.args,
    ],
    {
      cwd: ROOT,
      stdio: ["ignore", options.quiet ? "ignore" : "inherit", "inherit"],
      env: { ...process.env, TMPDIR: folder, ...(plain ? { NO_COLOR: "1" } : {}) },
    },
  );
  let timer: NodeJS.Timeout | undefined;
  const pass = () => {
    child.kill("SIGINT"); // vitest closes its parts on it
    timer ??= setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS).unref();
  };
  for (const name of ["SIGINT", "SIGTERM", "disconnect"]) process.on(name, pass);
  const code = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(1));
    child.once("close", (exitCode) => resolve(exitCode ?? 130));
  });
  clearTimeout(timer);
  for (const name of ["SIGINT", "SIGTERM", "disconnect"]) process.off(name, pass);
  return code;
}

async function readReport(folder: string): Promise<Report> {
  try {
    return JSON.parse(await readFile(join(folder, REPORT), "utf8"));
  } catch {
    return { testResults: [] };
  }
}
