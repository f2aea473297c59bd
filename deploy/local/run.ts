/** Starts one process: its output to a file, in a group of its own, noted for the next run, ended when we are. */
import { spawn } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { readStartedAt, recordProcess } from "./process-table.ts";
import { findProgram } from "./programs.ts";

/** What to run. */
export type RunSpec = {
  /** For people and file names: "chat", "kafka". */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the process; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Its stdout and stderr are appended here. */
  readonly logFile: string;
  /** A text of its command line by which the next run knows it again. */
  readonly marker: string;
  readonly stopSignal: NodeJS.Signals;
  /** What the kernel sends it when we die without a word. Default: the stop signal. */
  readonly deathSignal?: NodeJS.Signals | undefined;
  /** How readily it leaves the processor to others, 0 (the default) to 19. */
  readonly niceness?: number | undefined;
};

/** A started process. `ended` resolves with how it ended, in words; it never rejects. */
export type Run = { readonly pid: number; readonly ended: Promise<string> };

/**
 * Starts a process and notes it in `runFolder`. Where the machine has setpriv, the kernel sends it the death signal
 * should this process be killed without a chance to clean up.
 */
export function run(spec: RunSpec, runFolder: string): Run {
  const log = openSync(spec.logFile, "a");
  const [command, args] = withDeathSignal(spec);
  const child = spawn(command, args, {
    cwd: spec.cwd,
    env: spec.env,
    stdio: ["ignore", log, log],
    detached: true, // Ctrl-C reaches us alone, and we stop the others in their order
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, name) => resolve(name ? `by ${name}` : `exit code ${code}`));
  });
  const pid = child.pid ?? 0;
  if (pid > 0 && spec.niceness) yieldProcessor(pid, spec.niceness);
  if (pid > 0) void note(pid, spec, runFolder);
  return { pid, ended };
}

/**
 * Before it has threads, which inherit it. Where the kernel shares the processor out by sessions first (autogroup), the
 * session is told too: its processes' own niceness counts only among themselves. One that ended already tells by its exit.
 */
function yieldProcessor(pid: number, niceness: number): void {
  for (const tell of [
    () => setPriority(pid, niceness),
    () => writeFileSync(`/proc/${pid}/autogroup`, String(niceness)),
  ]) {
    try {
      tell();
    } catch {
      // not on this kernel, or ended
    }
  }
}

/** The command behind `setpriv --pdeathsig`. A user namespace resets the request, so it stands inside of one. */
function withDeathSignal(spec: RunSpec): [string, string[]] {
  const setpriv = findProgram("setpriv");
  if (!setpriv) return [spec.command, [...spec.args]];
  const watched = [
    setpriv,
    "--pdeathsig",
    (spec.deathSignal ?? spec.stopSignal).replace("SIG", ""),
    "--",
  ];
  const separator = spec.args.indexOf("--");
  if (spec.command.endsWith("unshare") && separator >= 0) {
    const [own, inner] = [spec.args.slice(0, separator + 1), spec.args.slice(separator + 1)];
    return [spec.command, [...own, ...watched, ...inner]];
  }
  return [setpriv, [...watched.slice(1), spec.command, ...spec.args]];
}

async function note(pid: number, spec: RunSpec, runFolder: string): Promise<void> {
  const { name, marker, stopSignal } = spec;
  const startedAt = (await readStartedAt(pid)) ?? 0;
  // A record that cannot be written only means that a later run would not find this process.
  await recordProcess(runFolder, { name, pid, startedAt, marker, stopSignal }).catch(() => {});
}
