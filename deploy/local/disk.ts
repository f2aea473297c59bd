/** Whether a disk has room left, and what to tell people when it has none. */
import { statfs } from "node:fs/promises";

const MB = 1024 * 1024;

/** One line when the disk of a folder has less than `bytesNeeded` left, else undefined. */
export async function describeFullDisk(
  folder: string,
  bytesNeeded: number,
): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytesNeeded) return undefined;
  const free = Math.floor((bavail * bsize) / MB);
  return `the disk of ${folder} is full: ${free} MB are free and ${Math.ceil(bytesNeeded / MB)} MB are needed; make room, or set HEADGATE_DATA to a folder on another disk`;
}
