/** The data folder: made, and tried out, before anything else is done. */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LocalFault } from "./fault.ts";
import { codeOf } from "./files.ts";

/** In words what the system refuses with. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file",
  EEXIST: "there is a file of that name",
  ENOENT: "the file system does not take new files there",
  ENAMETOOLONG: "the path is too long",
  ELOOP: "the path is a circle of symbolic links",
};

/**
 * Makes the folder (mode 0700) with what is missing above it, and writes a file into it to see that it can.
 * @throws LocalFault saying why it cannot be used; a full disk is thrown as it is
 */
export async function openDataFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    const probe = join(folder, `probe-${process.pid}`);
    await writeFile(probe, "");
    await rm(probe, { force: true });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === undefined || code === "ENOSPC" || code === "EDQUOT") throw cause;
    throw new LocalFault(
      `${folder} cannot be the data folder: ${REASONS[code] ?? code}; set HEADGATE_DATA to another one`,
      { cause },
    );
  }
}

/** One level at a time: Node's own `recursive` turns for ever in file systems that refuse a folder with ENOENT (/proc). */
async function makeFolder(folder: string): Promise<void> {
  if (await isFolder(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) await makeFolder(parent);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST" && (await isFolder(folder))) return; // made meanwhile
    throw thrown;
  }
}

/** @throws the error of the system when a part of the path is a file, or may not be looked into */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return false;
    throw thrown;
  }
}
