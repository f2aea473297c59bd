/**
 * The first thing that runs from a fresh clone, on whatever Node the machine has (18 or newer): installs what the
 * lockfile names, then hands over to Node 24. Uses nothing but Node itself.
 *
 *   node deploy/local/bootstrap.mjs <start|parts|test|conformance|check|...> [arguments]
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const NODE_MAJOR = 24;
const STAMP = join(ROOT, "node_modules", ".headgate-lock");
const NEWS_EVERY_MS = 5_000;
const PARENT_CHECK_MS = 1_000;

/** What each word runs. */
const PROGRAMS = {
  start: "deploy/local/start.ts",
  parts: "deploy/local/parts-only.ts",
  test: "test/run.ts",
  conformance: "test/conformance/run.ts",
  check: "deploy/local/check.ts",
  bench: "test/load/bench.ts",
  "bench:telemetry": "test/load/telemetry-cost.ts",
  "bench:overload": "test/load/overload.ts",
  "bench:hostile": "test/load/hostile.ts",
  "fuzz:openapi": "test/fuzz/openapi/run.ts",
};

const [word = "", ...rest] = process.argv.slice(2);
const program = PROGRAMS[word];
if (!program) {
  fail(`usage: node deploy/local/bootstrap.mjs ${Object.keys(PROGRAMS).join("|")} [arguments]`, 64);
}

if (word === "start" && rest.some((argument) => argument === "--help" || argument === "-h")) {
  // Before anything is installed.
  process.stdout.write(readFileSync(join(ROOT, "deploy", "local", "usage.txt"), "utf8"));
  process.exit(0);
}

/** The child that runs now; signals go on to it. */
let child;
/** The signal that asked for the end; undefined until one did. */
let asked;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    asked ??= signal;
    child?.kill(signal === "SIGHUP" ? "SIGTERM" : signal);
  });
}
watchParent();

await install();
if (asked) process.exit(exitCodeOf(asked));
process.exit(await runProgram());

/** Installs by the lockfile, unless the very same lockfile was installed before. */
async function install() {
  const lock = createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
  const stamped = existsSync(STAMP) ? readFileSync(STAMP, "utf8").trim() : "";
  if (stamped === lock) return;
  if (isInstalled()) {
    writeFileSync(STAMP, lock);
    return;
  }
  const startedAt = Date.now();
  say("installing dependencies by the lockfile (only the first time)");
  const news = setInterval(() => {
    say(`still installing, ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }, NEWS_EVERY_MS);
  let output = "";
  const code = await run(npmCommand(), ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: withoutNpm(process.env),
    onOutput: (text) => {
      output = (output + text).slice(-8_000);
    },
  });
  clearInterval(news);
  if (asked) process.exit(exitCodeOf(asked));
  if (code !== 0) {
    process.stderr.write(output);
    const full = output.includes("ENOSPC");
    fail(full ? "the disk is full: free some space" : "npm ci failed, for the reason above");
  }
  writeFileSync(STAMP, lock);
  say(`installed in ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

/** Whether npm's own note of what it installed agrees with the lockfile: then somebody ran `npm ci` already. */
function isInstalled() {
  try {
    const read = (path) => JSON.parse(readFileSync(join(ROOT, path), "utf8")).packages;
    const wanted = read("package-lock.json");
    const there = read("node_modules/.package-lock.json");
    const agrees = ([path, entry]) => wanted[path]?.version === entry.version;
    const isMissing = ([path, entry]) => path !== "" && !entry.optional && !there[path];
    return Object.entries(there).every(agrees) && !Object.entries(wanted).some(isMissing);
  } catch {
    return false;
  }
}

/** Runs the program on Node 24, and returns its exit code. */
function runProgram() {
  const cache = join(ROOT, ".cache", "compile");
  mkdirSync(cache, { recursive: true });
  const node = findNode();
  return run(node, ["--disable-warning=TimeoutNegativeWarning", join(ROOT, program), ...rest], {
    // The channel tells the program when we die without a word.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: cache,
      KAFKAJS_NO_PARTITIONER_WARNING: "1",
      PATH: `${dirname(node)}:${process.env.PATH ?? ""}`,
    },
  });
}

/** This Node where it is new enough, else the one that was installed with the dependencies. */
function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR) return process.execPath;
  const installed = join(
    ROOT,
    "node_modules",
    `node-${process.platform}-${process.arch}`,
    "bin",
    "node",
  );
  if (existsSync(installed)) return installed;
  return fail(
    `Node ${NODE_MAJOR} or newer is needed and none comes with the dependencies for ${process.platform} on ${process.arch}: install it`,
  );
}

/** npm as it was called, or the one on PATH. */
function npmCommand() {
  return process.platform === "win32" ? "npm.cmd" : "npm";
}

/** The environment without what an outer npm put there, which would be read as settings of the inner one. */
function withoutNpm(env) {
  const outer =
    /^npm_(lifecycle|package|command|execpath|node_execpath|config_(local_prefix|noproxy))/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !outer.test(name)));
}

/** Runs a command in the root and returns its exit code; ended by a signal: 128 and more, as shells say it. */
function run(command, args, { stdio, env, onOutput }) {
  return new Promise((resolve) => {
    child = spawn(command, args, { cwd: ROOT, stdio, env });
    child.stdout?.setEncoding("utf8").on("data", onOutput);
    child.stderr?.setEncoding("utf8").on("data", onOutput);
    child.once("error", (error) => resolve(fail(`${command} cannot be run: ${error.message}`)));
    child.once("close", (code, signal) => {
      resolve(code ?? exitCodeOf(signal));
    });
  });
}

/** The exit code of a process that a signal ended: 128 and the number of the signal, as shells give it. */
function exitCodeOf(signal) {
  return signal === "SIGINT" ? 130 : signal === "SIGKILL" ? 137 : 143;
}

/** npm that is killed outright leaves us without a parent: then everything is stopped, as if asked. */
function watchParent() {
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, "SIGTERM");
  }, PARENT_CHECK_MS).unref();
}

function say(line) {
  process.stdout.write(`${line}\n`);
}

function fail(line, code = 1) {
  process.stderr.write(`${line}\n`);
  return process.exit(code);
}
