/** The whole system as local processes: parts, topics, tables, services, demo. What `npm start`, e2e tests and the bench run. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createLog } from "@headgate/kit/log";
import { openDataFolder } from "./data-folder.ts";
import { type SeededDemo, seedDemo } from "./demo.ts";
import { describeFullDisk } from "./disk.ts";
import { LocalFault } from "./fault.ts";
import { openParts, type Parts } from "./parts.ts";
import { claimPorts, probePort } from "./ports.ts";
import { prepareParts } from "./prepare.ts";
import { readSecrets, renewAdmin, writeSecrets } from "./secrets.ts";
import { describeService, SERVICE_NAMES, SERVICE_PORTS, type ServiceName } from "./services.ts";
import { type Supervised, supervise } from "./supervise.ts";

/** How to start a system. */
export type SystemOptions = {
  /** Folder for data, logs, secrets and demo.json; made when missing. */
  readonly dataDir: string;
  /** Port of the front door; 0: a free one, kept for the next run on the folder. */
  readonly port: number;
  /** Address the front door listens on. Default 127.0.0.1. */
  readonly host?: string;
  /** Default: the local address. */
  readonly publicUrl?: string | undefined;
  /** Least severity of the services' logs. Default info. */
  readonly logLevel?: string;
  /** Read for KAFKA_BROKERS, DATABASE_URL, REDIS_URL and OTEL_*; its HEADGATE_* are not. Default: none of them. */
  readonly env?: NodeJS.ProcessEnv;
  /** More settings for single services. */
  readonly serviceEnv?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** Nothing needs to survive a crash of the machine: faster. Default false. */
  readonly throwaway?: boolean;
  /** The admin gets a new password and token and is an active system admin again. Default false. */
  readonly recoverAdmin?: boolean;
  /** Gets lines for people. Default: nobody. */
  readonly report?: (line: string) => void;
  /** Ends the starting; what was started is stopped. */
  readonly signal?: AbortSignal | undefined;
};

/** A running system. Disposing stops it in order: gateway, other services, Kafka, PostgreSQL, Redis. */
export type System = AsyncDisposable &
  SeededDemo & {
    /** The front door as reached from here, without trailing slash. */
    readonly url: string;
    readonly publicUrl: string;
    readonly dataDir: string;
    readonly logFolder: string;
    readonly parts: Parts;
    /** To kill, stop and start each service as a fault would. A killed one comes back by itself. */
    readonly services: Readonly<Record<ServiceName, Supervised>>;
    /** `http://127.0.0.1:<port>` with /metrics and /readyz of each service. */
    readonly opsUrls: Readonly<Record<ServiceName, string>>;
  };

/** Bytes that must be free to begin: Kafka alone reserves tens of MB for its first segments' indexes. */
const FREE_BYTES_MIN = 300 * 1024 * 1024;

/** ms for the name of the host to be looked up. */
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Starts everything and waits until every service is ready and the demo is there.
 * @throws LocalFault in one line for what a person can mend: port taken, folder in use, disk full, Java or Maven missing
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { dataDir, host = "127.0.0.1", report = () => {}, signal } = options;
  const env = options.env ?? { PATH: process.env.PATH, HOME: process.env.HOME };
  const logFolder = join(dataDir, "logs");
  await openDataFolder(dataDir);
  await checkDisk(dataDir);
  await checkPort(host, options.port);

  await using scope = new AsyncDisposableStack();
  const throwaway = options.throwaway ?? false;
  const parts = scope.use(await openParts({ dataDir, env, report, throwaway, signal }));
  const { recoverAdmin = false } = options;
  const known = await readSecrets(dataDir);
  const secrets = recoverAdmin ? renewAdmin(known) : known;
  const ports = await claimPorts(join(dataDir, "ports.json"), [...SERVICE_PORTS, "gateway"]);
  const port = options.port || ports.gateway;
  const url = `http://${toLocalHost(host)}:${port}`;
  const publicUrl = options.publicUrl ?? url;

  report("preparing topics and tables");
  const logFile = join(logFolder, "local.log");
  const write = (line: string) => appendFileSync(logFile, `${line}\n`);
  const log = createLog({ service: "local", level: "info", write });
  await untilAborted(prepareParts(parts, log), signal);

  const context = {
    ...{ parts, ports, secrets, recoverAdmin, host, port, publicUrl, logFolder, env },
    logLevel: options.logLevel ?? "info",
    serviceEnv: options.serviceEnv ?? {},
  };
  const runFolder = join(dataDir, "run");
  const services = mapServices((name) =>
    supervise(describeService(name, context), { runFolder, report, signal }),
  );
  scope.defer(async () => {
    await services.gateway.stop(); // first the door, so that what it has taken still finds the others
    await Promise.all(SERVICE_NAMES.map((name) => services[name].stop()));
  });
  report(`starting ${SERVICE_NAMES.join(", ")}`);
  await settleAll(SERVICE_NAMES.map((name) => services[name].start()));
  if (recoverAdmin) await writeSecrets(dataDir, secrets); // the registry has taken them
  const file = join(dataDir, "demo.json");
  const seeded = await seedDemo({ file, local: url, publicUrl, secrets, parts });
  signal?.throwIfAborted();

  const open = scope.move();
  return {
    ...{ url, publicUrl, dataDir, logFolder, parts, services, ...seeded },
    opsUrls: mapServices((name) => `http://127.0.0.1:${ports[`${name}-ops`]}`),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function mapServices<T>(make: (name: ServiceName) => T): Record<ServiceName, T> {
  const entries = SERVICE_NAMES.map((name) => [name, make(name)] as const);
  return Object.fromEntries(entries) as Record<ServiceName, T>; // every name is in SERVICE_NAMES
}

/** Waits for work that knows no signal, and no longer than until the signal aborts. @throws its reason then */
async function untilAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    signal?.addEventListener("abort", () => resolve(), { once: true });
  });
  await Promise.race([work, aborted]);
  signal?.throwIfAborted();
}

/** The host part of a URL by which this machine reaches what listens on a host. */
function toLocalHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

/** Waits for all before it throws the first failure, so that nothing starts behind our back. */
async function settleAll(tasks: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(tasks);
  await Promise.all(tasks);
}

/** @throws LocalFault when the front door cannot listen there; port 0 looks at the address alone */
async function checkPort(host: string, port: number): Promise<void> {
  const timedOut = sleep(PROBE_TIMEOUT_MS, "no answer", { ref: false });
  const code = await Promise.race([probePort(host, port), timedOut]);
  if (code === undefined) return;
  if (code === "EADDRINUSE") {
    throw new LocalFault(
      `port ${port} on ${host} is taken: stop what listens there, or set HEADGATE_PORT to another one`,
    );
  }
  if (code === "EACCES") {
    throw new LocalFault(
      `port ${port} is not for this user: set HEADGATE_PORT to one from 1024 on`,
    );
  }
  throw new LocalFault(
    `HEADGATE_HOST is ${host}, where this machine cannot listen (${code}): set it to an address of this machine, such as 127.0.0.1 or 0.0.0.0`,
  );
}

async function checkDisk(folder: string): Promise<void> {
  const full = await describeFullDisk(folder, FREE_BYTES_MIN);
  if (full) throw new LocalFault(full);
}
