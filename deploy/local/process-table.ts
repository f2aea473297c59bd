/** Who is running, as the kernel tells it: identity that survives reuse of process ids, and what is left of an earlier run. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A process that was started: its id, when the kernel says it began, and a part of its command line. */
export type ProcessRecord = {
  readonly name: string;
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/<pid>/stat; 0 where there is no /proc. */
  readonly startedAt: number;
  /** A text that its command line contains. */
  readonly marker: string;
  readonly stopSignal: NodeJS.Signals;
};

/** ms that a process of an earlier run is given to end by itself. */
const STALE_STOP_MS = 8_000;

/** When a process began, in ticks since boot; undefined when it is gone (a zombie counts as gone). */
export async function readStartedAt(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name in parentheses may hold anything
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return Number(fields[19]);
}

/** Notes a process so that the next run can find it. */
export async function recordProcess(folder: string, record: ProcessRecord): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${record.name}.json`), JSON.stringify(record), { mode: 0o600 });
}

/** Forgets a process that ended. */
export async function forgetProcess(folder: string, name: string): Promise<void> {
  await rm(join(folder, `${name}.json`), { force: true });
}

/** Whether the very process of a record still runs: same id, same beginning, same command. */
export async function isRunning(record: ProcessRecord): Promise<boolean> {
  if ((await readStartedAt(record.pid)) !== record.startedAt) return false;
  const command = await readFile(`/proc/${record.pid}/cmdline`, "utf8").catch(() => "");
  return command.replaceAll("\0", " ").includes(record.marker);
}

/**
 * Stops what an earlier run left behind, and forgets it. Only a process that is provably the recorded one is touched.
 * @returns the names of those that were still running
 */
export async function sweepProcesses(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch(() => []);
  const swept = await Promise.all(files.filter((file) => file.endsWith(".json")).map(sweep));
  return swept.filter((name) => name !== undefined);

  async function sweep(file: string): Promise<string | undefined> {
    const path = join(folder, file);
    const record = await readRecord(path);
    const found = record !== undefined && (await isRunning(record));
    if (found) await endProcess(record);
    await rm(path, { force: true });
    return found ? record.name : undefined;
  }
}

async function endProcess(record: ProcessRecord): Promise<void> {
  signal(record.pid, record.stopSignal);
  const deadline = performance.now() + STALE_STOP_MS;
  while (performance.now() < deadline) {
    if (!(await isRunning(record))) return;
    await sleep(50);
  }
  signal(record.pid, "SIGKILL");
  while (await isRunning(record)) await sleep(20);
}

/** Sends a signal; a process that is gone already is no fault. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone between the look and the call
  }
}

async function readRecord(path: string): Promise<ProcessRecord | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as ProcessRecord; // written by recordProcess
  } catch {
    return undefined;
  }
}
