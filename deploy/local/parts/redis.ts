/** A real Redis: the machine's own, or the one that a published jar carries. */
import { chmod, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalFault } from "../fault.ts";
import { findProgram } from "../programs.ts";
import { supervise } from "../supervise.ts";
import { fetchJars } from "./maven.ts";
import type { LocalPart, PartPlace } from "./part.ts";
import { ask } from "./probe.ts";
import { readZipEntry } from "./zip.ts";

const READY_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 2_000;

/** The server inside the jar, by processor. */
const JAR_ENTRIES: Record<string, string> = {
  x64: "redis-server-6.2.6-v5-linux-amd64",
  arm64: "redis-server-6.2.6-v5-linux-arm64",
};

/**
 * Prepares a server that listens on 127.0.0.1 alone and wants a password. It keeps nothing on disk: what it holds are
 * budgets and the memory of recent keys, which may be lost.
 * @throws LocalFault where the machine has none and none can be had
 */
export async function prepareRedis(
  place: PartPlace,
  options: { readonly port: number; readonly password: string },
): Promise<LocalPart> {
  await mkdir(place.folder, { recursive: true });
  const program = findProgram("redis-server") ?? (await unpackServer(place));
  const settings = join(place.folder, "redis.conf");
  const lines = [
    "bind 127.0.0.1",
    `port ${options.port}`,
    `requirepass ${options.password}`,
    'save ""',
    "appendonly no",
    "maxmemory 256mb",
    // Full, it refuses writes and the rate-limiter judges from its memory. Evicting would forget budgets and claims.
    "maxmemory-policy noeviction",
    `dir ${JSON.stringify(place.folder)}`,
  ];
  await writeFile(settings, `${lines.join("\n")}\n`, { mode: 0o600 });
  const server = supervise(
    {
      name: "redis",
      command: program,
      args: [settings],
      env: { PATH: process.env.PATH ?? "", LANG: "C.UTF-8" },
      cwd: place.folder,
      logFile: join(place.logFolder, "redis.log"),
      marker: "redis-server", // it rewrites its own command line
      stopSignal: "SIGTERM",
      stopTimeoutMs: STOP_TIMEOUT_MS,
      isReady: () => isRedisServing(options),
      readyTimeoutMs: READY_TIMEOUT_MS,
    },
    place,
  );
  return { address: `redis://:${options.password}@127.0.0.1:${options.port}`, process: server };
}

async function isRedisServing({
  port,
  password,
}: {
  port: number;
  password: string;
}): Promise<boolean> {
  const answer = await ask({
    port,
    question: Buffer.from(`AUTH ${password}\r\nPING\r\n`),
    isWhole: (bytes) => bytes.toString("latin1").split("\r\n").length > 2,
  });
  return answer?.toString("latin1") === "+OK\r\n+PONG\r\n";
}

/** Takes the server out of the jar, once. */
async function unpackServer(place: PartPlace): Promise<string> {
  const word = { name: "Redis", setting: "REDIS_URL" };
  const entry = process.platform === "linux" ? JAR_ENTRIES[process.arch] : undefined;
  if (!entry) {
    throw new LocalFault(
      "redis-server is missing: install it, or set REDIS_URL to a Redis that runs elsewhere",
    );
  }
  const folder = await fetchJars("redis", word, place);
  const names = await readdir(folder);
  const server = join(folder, entry);
  if (names.includes(entry)) return server;
  const jar = names.find((name) => name.startsWith("embedded-redis-") && name.endsWith(".jar"));
  const bytes = jar && readZipEntry(await readFile(join(folder, jar)), entry);
  if (!bytes)
    throw new LocalFault(`${entry} is not in ${folder}: remove that folder and try again`);
  const fresh = `${server}.${process.pid}`;
  await writeFile(fresh, bytes);
  await chmod(fresh, 0o755);
  await rename(fresh, server);
  return server;
}
