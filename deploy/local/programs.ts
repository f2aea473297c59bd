/** Programs of the machine: found on PATH, run to their end. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Characters of output that are kept for an error. */
const OUTPUT_LENGTH_MAX = 4_000;

/** The full path of a program on PATH; undefined where there is none. */
export function findProgram(name: string): string | undefined {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder || ".", name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/**
 * Runs a program to its end.
 * @throws Error with the end of what it printed, when it fails or takes longer than `timeoutMs`
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: {
    timeoutMs: number;
    cwd?: string;
    env?: NodeJS.ProcessEnv;
    input?: string;
    signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["pipe", "pipe", "pipe"],
    timeout: options.timeoutMs,
    killSignal: "SIGKILL",
    signal: options.signal,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-OUTPUT_LENGTH_MAX);
    });
  }
  child.stdin.on("error", () => {}); // it need not read what we say
  child.stdin.end(options.input ?? "");
  const how = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, name) =>
      resolve(code === 0 ? undefined : (name ?? `exit code ${code}`)),
    );
  });
  if (how !== undefined) throw new Error(`${command} failed (${how}): ${output.trim()}`);
}
