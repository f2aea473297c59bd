/**
 * The three parts the services stand on: Kafka, PostgreSQL, Redis. `npm start` and the tests get them here: those named
 * by KAFKA_BROKERS, DATABASE_URL and REDIS_URL as they are, the others as local processes.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { KafkaAccess } from "@headgate/kit/kafka";
import { openDataFolder } from "./data-folder.ts";
import { checkExternal, readExternal } from "./external.ts";
import { readIfThere } from "./files.ts";
import { lockFolder } from "./lock.ts";
import { prepareKafka } from "./parts/kafka.ts";
import type { LocalPart, PartPlace } from "./parts/part.ts";
import { preparePostgres } from "./parts/postgres.ts";
import { prepareRedis } from "./parts/redis.ts";
import { claimPorts } from "./ports.ts";
import { sweepProcesses } from "./process-table.ts";
import type { Supervised } from "./supervise.ts";

/** Where the parts are found. */
export type PartAddresses = {
  readonly kafkaBrokers: readonly string[];
  /** TLS and SASL of brokers that were given; the local one has neither. */
  readonly kafkaAccess?: KafkaAccess;
  /** The settings KAFKA_TLS_* and KAFKA_SASL_* that `kafkaAccess` was read from. */
  readonly kafkaSecurity?: Readonly<Record<string, string>>;
  readonly databaseUrl: string;
  readonly redisUrl: string;
};

/** Parts that serve. Disposing stops those that run here: Kafka, then PostgreSQL, then Redis. */
export type Parts = AsyncDisposable &
  PartAddresses & {
    /** The ones that run here; those given by URL are absent. */
    readonly processes: {
      readonly kafka?: Supervised;
      readonly postgres?: Supervised;
      readonly redis?: Supervised;
    };
  };

/** How to open the parts. */
export type OpenPartsOptions = {
  /** Folder for data, logs and notes; made when missing, kept. */
  readonly dataDir: string;
  /** Read for KAFKA_BROKERS, KAFKA_TLS_*, KAFKA_SASL_*, DATABASE_URL, REDIS_URL only. */
  readonly env: NodeJS.ProcessEnv;
  /** Gets lines for people. */
  readonly report: (line: string) => void;
  /** Nothing needs to survive a crash of the machine: faster. Default false. */
  readonly throwaway?: boolean;
  /** Ends the starting; what was started is stopped. */
  readonly signal?: AbortSignal | undefined;
};

/**
 * Opens the three parts and waits until they really serve. What an earlier run left running in `dataDir` is stopped first.
 * @throws LocalFault naming what to install, or which URL to give
 */
export async function openParts(options: OpenPartsOptions): Promise<Parts> {
  const { dataDir, env, report, throwaway = false, signal } = options;
  const [logFolder, runFolder] = [join(dataDir, "logs"), join(dataDir, "run")];
  await openDataFolder(dataDir);
  for (const folder of [logFolder, runFolder]) await mkdir(folder, { recursive: true });
  await using scope = new AsyncDisposableStack();
  scope.use(await lockFolder(dataDir));
  for (const name of await sweepProcesses(runFolder))
    report(`stopped ${name}, left by an earlier run`);
  const external = readExternal(env);
  await checkExternal(external, signal);
  const ports = await claimPorts(join(dataDir, "ports.json"), [
    "kafka",
    "controller",
    "postgres",
    "redis",
  ]);
  const password = await readPassword(dataDir);
  const place = (name: string): PartPlace => {
    return { folder: join(dataDir, name), logFolder, runFolder, throwaway, report, signal };
  };

  const { brokers, databaseUrl, redisUrl } = external;
  const [redis, postgres, kafka] = await settleAll([
    redisUrl ? undefined : prepareRedis(place("redis"), { port: ports.redis, password }),
    databaseUrl
      ? undefined
      : preparePostgres(place("postgres"), { port: ports.postgres, password }),
    brokers
      ? undefined
      : prepareKafka(place("kafka"), { broker: ports.kafka, controller: ports.controller }),
  ]);

  const local = [redis, postgres, kafka].filter((part) => part !== undefined);
  for (const part of local) scope.use(part.process); // disposed in reverse
  if (local.length > 0) report(`starting ${local.map((part) => part.process.name).join(", ")}`);
  await settleAll(local.map((part) => part.process.start()));
  const open = scope.move();
  return {
    kafkaBrokers: brokers ?? [addressOf(kafka)],
    ...external.kafka,
    databaseUrl: databaseUrl ?? addressOf(postgres),
    redisUrl: redisUrl ?? addressOf(redis),
    processes: { kafka: kafka?.process, postgres: postgres?.process, redis: redis?.process },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function addressOf(part: LocalPart | undefined): string {
  return part?.address ?? "";
}

/** Waits for all, so that nothing is left half-started behind a failure; then throws the first failure, if any. */
async function settleAll<const T extends readonly unknown[]>(
  tasks: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(tasks);
  return Promise.all(tasks);
}

/** The password of the local database and Redis: made once per data folder, readable by its owner alone. */
async function readPassword(dataDir: string): Promise<string> {
  const file = join(dataDir, "parts-password");
  const known = (await readIfThere(file))?.trim() ?? "";
  if (/^[0-9a-f]{32}$/.test(known)) return known;
  const fresh = randomBytes(16).toString("hex");
  await writeFile(file, fresh, { mode: 0o600 });
  return fresh;
}
