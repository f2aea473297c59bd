/** `npm start` as people run it: a process with arguments, settings and output. */
import { spawn } from "node:child_process";
import { ROOT } from "@headgate/local/root";

/** A start under way, or over. */
export type Start = {
  /** All that it printed so far, on both streams. */
  readonly output: () => string;
  readonly stderr: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Its exit code, once it ended and all output is read; null: by a signal. */
  readonly ended: Promise<number | null>;
  readonly isOver: () => boolean;
};

/** Runs it with these settings and no others. */
export function npmStart(settings: NodeJS.ProcessEnv, args: readonly string[] = []): Start {
  const child = spawn(process.execPath, ["deploy/local/bootstrap.mjs", "start", ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    stderr += text;
  });
  return {
    output: () => output,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    ended: new Promise((resolve) => child.once("close", resolve)),
    isOver: () => child.exitCode !== null || child.signalCode !== null,
  };
}
