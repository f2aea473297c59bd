/** Log files of the processes: bounded, and read from the end. */
import { copyFile, open, stat, truncate } from "node:fs/promises";

/** A log grown beyond this is copied to `<file>.1` (one is kept) and emptied. Bytes. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const TAIL_BYTES = 8 * 1024;
const LINE_LENGTH_MAX = 400;

/** What Node writes below the line that says what is wrong. */
const EPILOGUE = /^(\s*$|\s+at |Node\.js v)/;

/** Empties a log that has grown too long, keeping a copy. The writers append, so they go on at its new end. */
export async function rotateLog(file: string, bytesMax = LOG_BYTES_MAX): Promise<void> {
  try {
    if ((await stat(file)).size <= bytesMax) return;
    await copyFile(file, `${file}.1`);
    await truncate(file);
  } catch {
    // gone or full: the next check tries again
  }
}

/** The last line that says something (no blank, no stack), cut to LINE_LENGTH_MAX; "(empty)" when there is none. */
export async function readLastLine(file: string): Promise<string> {
  try {
    await using handle = await open(file, "r");
    const { size } = await handle.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, from);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    return lines.findLast((line) => !EPILOGUE.test(line))?.slice(0, LINE_LENGTH_MAX) ?? "(empty)";
  } catch {
    return "(none)";
  }
}
