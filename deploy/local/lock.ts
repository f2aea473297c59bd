/** One run at a time on a data folder. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalFault } from "./fault.ts";
import { readStartedAt } from "./process-table.ts";

type Holder = { readonly pid: number; readonly startedAt: number };

/**
 * Takes the data folder for this process; disposing gives it back. What a dead process left is taken over.
 * @throws LocalFault naming the process that has it
 */
export async function lockFolder(dataDir: string): Promise<AsyncDisposable> {
  const file = join(dataDir, "lock.json");
  const mine: Holder = { pid: process.pid, startedAt: (await readStartedAt(process.pid)) ?? 0 };
  for (let tries = 0; !(await create(file, mine)); tries++) {
    const holder = await readHolder(file);
    const alive = holder && (await readStartedAt(holder.pid)) === holder.startedAt;
    if (alive || tries > 2) {
      throw new LocalFault(
        `${dataDir} is in use by another run (process ${holder?.pid ?? "unknown"}): stop that one, or set HEADGATE_DATA (and HEADGATE_PORT) to others`,
      );
    }
    await rm(file, { force: true });
  }
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
}

async function create(file: string, holder: Holder): Promise<boolean> {
  try {
    await writeFile(file, JSON.stringify(holder), { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Holder; // written by create
  } catch {
    return undefined;
  }
}
