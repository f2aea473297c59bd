/** The life of a service process: settings that all share, the stop signal, exit codes, the watchdog. */
import { ConfigError, EXIT_CONFIG, integer, oneOf, optional, text } from "./env.ts";
import { flushLines } from "./log/sink.ts";
import { createLog, LOG_LEVELS, type Log } from "./log.ts";

/** ms that a service may take to finish what runs after the stop signal. */
const DRAIN_TIMEOUT_MS = 15_000;

/** Settings of every service, to spread into its `readEnv`. */
export const commonFields = {
  /** Lines below this severity are not written. */
  HEADGATE_LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  /** ms from the stop signal to the forced end, 100 to 600,000. */
  HEADGATE_DRAIN_TIMEOUT_MS: integer({ min: 100, max: 600_000, fallback: DRAIN_TIMEOUT_MS }),
  /** Address to listen on. */
  HEADGATE_HOST: text("0.0.0.0"),
  /** Address that probes and metrics listen on. Default: HEADGATE_HOST. */
  HEADGATE_OPS_HOST: optional(text()),
  /** Port of probes and metrics; 0 takes any free one. */
  HEADGATE_OPS_PORT: integer({ min: 0, max: 65_535, fallback: 9464 }),
};

/** Exit code of a service that failed or did not end in time. */
const EXIT_FAILED = 1;

let signalled: Promise<string> | undefined;

/** ms; the longest a timer can be set to. */
const FOR_EVER_MS = 2 ** 31 - 1;

/**
 * Resolves with the name of the first SIGTERM or SIGINT since it (or `runService`) was first called; later ones are ignored.
 * The process stays alive until then, even when nothing else keeps it so.
 */
export function stopSignal(): Promise<string> {
  signalled ??= new Promise((resolve) => {
    const alive = setInterval(() => {}, FOR_EVER_MS);
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      process.on(name, () => {
        clearInterval(alive);
        resolve(name);
      });
    }
  });
  return signalled;
}

/**
 * Runs a service's main and ends the process: 0 when it returns, 78 for faulty settings (all of them on stderr), 1 for
 * anything else that was thrown, left unhandled, or not finished HEADGATE_DRAIN_TIMEOUT_MS after the stop signal.
 */
export async function runService(
  name: string,
  main: (tools: { log: Log; env: NodeJS.ProcessEnv }) => Promise<void>,
): Promise<void> {
  const { env } = process;
  const level = LOG_LEVELS.find((known) => known === env.HEADGATE_LOG_LEVEL?.trim()) ?? "info";
  const log = createLog({ service: name, level });
  const exit = (code: number): never => {
    flushLines();
    return process.exit(code);
  };
  for (const kind of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(kind, (error: unknown) => {
      log.error("process.failed", { kind, error });
      exit(EXIT_FAILED);
    });
  }
  const drainMs = readDrainMs(env);
  void stopSignal().then((signal) => {
    log.info("service.stopping", { signal, drain_timeout_ms: drainMs });
    setTimeout(() => {
      log.error("service.drain_timeout", { drain_timeout_ms: drainMs });
      exit(EXIT_FAILED);
    }, drainMs).unref();
  });
  try {
    await main({ log, env });
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${name}: ${error.message}\n`, () => exit(EXIT_CONFIG));
      return;
    }
    log.error("service.failed", { error });
    exit(EXIT_FAILED);
  }
  log.info("service.stopped");
  exit(0);
}

/** The drain time before the settings were read in full: a faulty one is the default here and a ConfigError there. */
function readDrainMs(env: NodeJS.ProcessEnv): number {
  const { read } = commonFields.HEADGATE_DRAIN_TIMEOUT_MS;
  try {
    return env.HEADGATE_DRAIN_TIMEOUT_MS
      ? read(env.HEADGATE_DRAIN_TIMEOUT_MS.trim())
      : DRAIN_TIMEOUT_MS;
  } catch {
    return DRAIN_TIMEOUT_MS;
  }
}
