/** One run at a time on a data folder. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { LocalFault } from "./fault.ts";
import { readStartedAt } from "./process-table.ts";

/** SQLite's code for a database that another connection holds. */
const SQLITE_BUSY = 5;

/**
 * Takes the data folder for this process; disposing gives it back. The lock is the exclusive transaction of an empty
 * SQLite database, and so one of the operating system's own: it ends with the process, however that ends, on every
 * system that Node runs on. `lock.json` beside it only says which process has it.
 * @throws LocalFault naming the process that has it
 */
export async function lockFolder(dataDir: string): Promise<AsyncDisposable> {
  const holderFile = join(dataDir, "lock.json");
  const database = openExclusively(join(dataDir, "lock.db"));
  if (!database) {
    throw new LocalFault(
      `${dataDir} is in use by another run (process ${await readHolder(holderFile)}): stop that one, or set HEADGATE_DATA (and HEADGATE_PORT) to others`,
    );
  }
  await using scope = new AsyncDisposableStack();
  scope.defer(() => database.close());
  // Version 0.1.0 knew a holder by both members; it must be able to start where a later version ran.
  const startedAt = (await readStartedAt(process.pid)) ?? 0;
  await writeFile(holderFile, JSON.stringify({ pid: process.pid, startedAt }));
  scope.defer(() => rm(holderFile, { force: true }));
  return scope.move();
}

/** The database in an exclusive transaction; undefined when another process has it. */
function openExclusively(file: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    database.exec("begin exclusive");
    return database;
  } catch (cause) {
    database?.close();
    if (isBusy(cause)) return undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LocalFault(`${file} cannot be locked: ${why}; it may belong to another user`, {
      cause,
    });
  }
}

function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && "errcode" in thrown && thrown.errcode === SQLITE_BUSY;
}

/** The id of the process that has the folder, for people. */
async function readHolder(file: string): Promise<string> {
  try {
    return String(JSON.parse(await readFile(file, "utf8")).pid);
  } catch {
    return "unknown";
  }
}
