/**
 * `npm run fuzz:openapi`: Schemathesis over the contract of the native API, against a system of its own. Arguments go on to
 * it: `npm run fuzz:openapi -- --seed 7 --phases coverage`. Needs python3 with pip and venv; the first run installs the tool.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSystem } from "@headgate/local/system";
import { openRun } from "./prepare.ts";

/** The version that schemathesis.toml and openapi_hooks.py were written for. */
const VERSION = "4.32.5";
const ROOT = join(import.meta.dirname, "..", "..", "..");
const VENV = join(ROOT, ".cache", `schemathesis-${VERSION}`);
const TOOL = join(VENV, "bin", "schemathesis");

process.exitCode = await main();

async function main(): Promise<number> {
  if (!existsSync(TOOL) && !(await install())) {
    process.stderr.write(
      `fuzz:openapi needs Schemathesis ${VERSION}, and python3 -m venv with pip could not install it\n`,
    );
    return 1;
  }
  const { PATH = "", HOME = "" } = process.env;
  const dataDir = await mkdtemp(join(tmpdir(), "headgate-openapi-"));
  await using scope = new AsyncDisposableStack();
  scope.defer(() => rm(dataDir, { recursive: true, force: true }));
  const system = scope.use(
    await startSystem({ dataDir, port: 0, throwaway: true, env: { PATH, HOME } }),
  );
  const run = await openRun(system.demo);
  const code = await runTool({ url: system.url, env: { PATH, HOME, ...run.env } });
  const faults = [
    ...((await run.isStillAllowed()) ? [] : ["the run lost its own token on the way"]),
    ...Object.values(system.services).flatMap(({ name, restarts }) =>
      restarts > 0 ? [`${name} died ${restarts} times`] : [],
    ),
  ];
  for (const fault of faults) process.stderr.write(`fuzz:openapi: ${fault}\n`);
  return faults.length > 0 ? 1 : code;
}

async function install(): Promise<boolean> {
  const options = { stdio: ["ignore", "ignore", "inherit"] as const };
  const isDone =
    (await run("python3", ["-m", "venv", VENV], options)) === 0 &&
    (await run(
      join(VENV, "bin", "pip"),
      ["install", "--quiet", "--disable-pip-version-check", `schemathesis==${VERSION}`],
      options,
    )) === 0;
  if (!isDone) await rm(VENV, { recursive: true, force: true });
  return isDone;
}

/** Secrets go by the environment: arguments can be read by everybody on the machine. */
function runTool({ url, env }: { url: string; env: NodeJS.ProcessEnv }): Promise<number> {
  const config = join(import.meta.dirname, "schemathesis.toml");
  const contract = `${url}/api/headgate/v1/openapi.json`;
  return run(TOOL, ["--config-file", config, "run", contract, ...process.argv.slice(2)], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...env, PYTHONPATH: import.meta.dirname, PYTHONDONTWRITEBYTECODE: "1" },
    cwd: tmpdir(),
  });
}

function run(
  command: string,
  args: readonly string[],
  options: {
    stdio: readonly ["ignore", "ignore" | "inherit", "inherit"];
    env?: NodeJS.ProcessEnv;
    cwd?: string;
  },
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: [...options.stdio] });
    const stop = () => child.kill("SIGTERM");
    process.once("SIGTERM", stop).once("SIGINT", stop);
    const end = (code: number) => {
      process.off("SIGTERM", stop).off("SIGINT", stop);
      resolve(code);
    };
    child.once("error", () => end(127));
    child.once("exit", (code) => end(code ?? 1));
  });
}
