/** What keeps the local system from running, said in one line to the person at the terminal. */

import { ConfigError, EXIT_CONFIG } from "@headgate/kit/env";
import { codeOf } from "./files.ts";

/** Exit codes of a start that a signal ended, as shells give them: 128 and the number of the signal. */
export const EXIT_SIGNALLED: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/** A foreseen reason to stop: `message` is the whole story, so it is printed without a stack. */
export class LocalFault extends Error {
  override readonly name = "LocalFault";
  readonly exitCode: number;

  constructor(message: string, options: { cause?: unknown; exitCode?: number } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** Prints what was thrown and returns the exit code: a foreseen fault as its one line, a full disk as such, the rest with its stack. */
export function explain(thrown: unknown, write: (text: string) => void): number {
  const full = findCode(thrown, "ENOSPC");
  if (full) {
    write(
      "the disk is full: free some space, or set HEADGATE_DATA to a directory on another disk\n",
    );
    return 1;
  }
  if (thrown instanceof LocalFault) {
    write(`${thrown.message}\n`);
    return thrown.exitCode;
  }
  if (thrown instanceof ConfigError) {
    write(`${thrown.message}\n`);
    return EXIT_CONFIG;
  }
  const path = findRefusedPath(thrown);
  if (path) {
    write(`${path} may not be read or written by this user: give it to this user, or remove it\n`);
    return 1;
  }
  write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  return 1;
}

/** Whether an error, or one that caused it, has a system error code. */
function findCode(thrown: unknown, code: string): boolean {
  for (
    let error = thrown, depth = 0;
    error instanceof Error && depth < 8;
    error = error.cause, depth++
  ) {
    if ("code" in error && error.code === code) return true;
  }
  return false;
}

/** The path of an error of the file system that says that this user has no right to it. */
function findRefusedPath(thrown: unknown): string | undefined {
  const code = codeOf(thrown);
  if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") return undefined;
  return thrown instanceof Error && "path" in thrown ? String(thrown.path) : undefined;
}

/** Why something failed, in one line of at most 300 characters: the message of an error, and that of what caused it. */
export function describeError(thrown: unknown): string {
  const parts: string[] = [];
  for (let error = thrown, depth = 0; error && depth < 4; depth++) {
    const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    if (line !== "" && !parts.some((part) => part.includes(line))) parts.push(line);
    error = error instanceof Error ? error.cause : undefined;
  }
  return parts.join(": ").slice(0, 300);
}
