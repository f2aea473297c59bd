/** One process kept running: started, waited for, restarted when it dies, stopped in time. */
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { delayMs } from "@headgate/kit/backoff";
import { describeFullDisk } from "./disk.ts";
import { LocalFault } from "./fault.ts";
import { readLastLine, rotateLog } from "./log-file.ts";
import { forgetProcess, signal } from "./process-table.ts";
import { type Run, type RunSpec, run } from "./run.ts";

/** What to run and how to end it. */
export type ProcessSpec = RunSpec & {
  /** ms between the stop signal and SIGKILL. */
  readonly stopTimeoutMs: number;
  /** Whether it serves; asked again and again until true or the deadline. */
  readonly isReady: () => Promise<boolean>;
  readonly readyTimeoutMs: number;
};

/** A process under supervision. */
export type Supervised = AsyncDisposable & {
  readonly name: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** How often it was started again after it died. */
  readonly restarts: number;
  /** Starts it and waits until it serves. Runs already: waits only. @throws LocalFault when it ends or the time is up */
  start(): Promise<void>;
  /** Ends it in order (killed when the time is up) and leaves it so until `start`. */
  stop(): Promise<void>;
  /** Sends a signal, as a fault would: if that ends it, it is started again after a back-off. */
  kill(signal: NodeJS.Signals): void;
  /** `stop` and `start`. */
  restart(): Promise<void>;
};

/** ms before a dead process is started again: first and longest. A process that ran STEADY_MS starts from the first again. */
const RESTART = { firstMs: 400, mostMs: 15_000 };
const STEADY_MS = 30_000;

/** Bytes without which a process is taken to have died of a full disk. */
const FREE_BYTES_MIN = 8 * 1024 * 1024;
const LOG_CHECK_MS = 5_000;
const READY_POLL_MS = 50;

/** Where a process is noted and told of. */
export type SuperviseContext = {
  readonly runFolder: string;
  readonly report: (line: string) => void;
  /** Ends the waiting of `start`. */
  readonly signal?: AbortSignal | undefined;
};

/** Prepares a process; nothing runs before `start`. `report` gets one line whenever it dies or is back. */
export function supervise(
  spec: ProcessSpec,
  { runFolder, report, signal: aborted }: SuperviseContext,
): Supervised {
  let current: Run | undefined;
  let wanted = false;
  let served = false;
  let failures = 0;
  let restarts = 0;
  let restartTimer: NodeJS.Timeout | undefined;
  let logTimer: NodeJS.Timeout | undefined;

  return {
    name: spec.name,
    get pid() {
      return current?.pid;
    },
    get restarts() {
      return restarts;
    },
    start,
    stop,
    kill: (name) => {
      if (current) signal(current.pid, name);
    },
    restart: async () => {
      await stop();
      await start();
    },
    [Symbol.asyncDispose]: stop,
  };

  async function start(): Promise<void> {
    clearTimeout(restartTimer);
    wanted = true;
    await waitReady(current ?? launch());
  }

  async function stop(): Promise<void> {
    wanted = false;
    clearTimeout(restartTimer);
    clearInterval(logTimer);
    const stopped = current;
    if (!stopped) return;
    signal(stopped.pid, spec.stopSignal);
    signal(stopped.pid, "SIGCONT"); // a frozen one could not hear the first
    if (await settlesWithin(stopped.ended, spec.stopTimeoutMs)) return;
    report(`${spec.name} did not stop within ${spec.stopTimeoutMs / 1000} s: killed`);
    signal(stopped.pid, "SIGKILL");
    await stopped.ended;
  }

  function launch(): Run {
    const launched = run(spec, runFolder);
    const startedAtMs = performance.now();
    current = launched;
    clearInterval(logTimer);
    logTimer = setInterval(() => void rotateLog(spec.logFile), LOG_CHECK_MS).unref();
    void launched.ended.then((how) => {
      if (current === launched) current = undefined;
      if (performance.now() - startedAtMs > STEADY_MS) failures = 0;
      void forgetProcess(runFolder, spec.name).catch(() => {});
      if (wanted && served) startAgain(how);
    });
    return launched;
  }

  function startAgain(how: string): void {
    failures += 1;
    const waitMs = delayMs(RESTART, failures);
    report(`${spec.name} died (${how}): starting it again in ${(waitMs / 1000).toFixed(1)} s`);
    void tellFullDisk();
    restartTimer = setTimeout(() => {
      if (current) return;
      restarts += 1;
      waitReady(launch()).then(
        () => report(`${spec.name} is back`),
        () => {}, // it ended again: its own end has been reported
      );
    }, waitMs);
  }

  /** Kafka and Postgres end themselves when they cannot write, and say why only in their logs. */
  async function tellFullDisk(): Promise<void> {
    const full = await describeFullDisk(dirname(spec.logFile), FREE_BYTES_MIN).catch(() => {});
    if (full) report(full);
  }

  /** Resolves when it serves; before that `served` stays false, so that a first start that fails is not tried for ever. */
  async function waitReady(waited: Run): Promise<void> {
    const deadline = performance.now() + spec.readyTimeoutMs;
    let how: string | undefined;
    void waited.ended.then((value) => {
      how = value;
    });
    while (performance.now() < deadline && how === undefined) {
      aborted?.throwIfAborted();
      if (await spec.isReady()) {
        served = true;
        return;
      }
      await sleep(READY_POLL_MS);
    }
    const what = how ? `ended (${how})` : `is not ready after ${spec.readyTimeoutMs / 1000} s`;
    const last = await readLastLine(spec.logFile);
    throw new LocalFault(`${spec.name} ${what}; the last line of ${spec.logFile}: ${last}`);
  }
}

async function settlesWithin(settling: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const inTime = await Promise.race([settling.then(() => true as const), late]);
  clearTimeout(timer);
  return inTime;
}
