/** Servers that the environment names instead of local ones: they must answer before anything is started. */
import { setTimeout as sleep } from "node:timers/promises";
import { addresses, optional, readEnv, url } from "@headgate/kit/env";
import { checkBrokers, type KafkaAccess } from "@headgate/kit/kafka";
import { kafkaFields, readKafkaAccess } from "@headgate/kit/kafka-settings";
import type { Log } from "@headgate/kit/log";
import { openPostgres } from "@headgate/kit/postgres";
import { openRedis } from "@headgate/kit/redis";
import { describeError, LocalFault } from "./fault.ts";

/** ms that a server has to answer: time for one that is being started too, and an error within 10 s of the command. */
const ANSWER_TIMEOUT_MS = 6_000;
const PAUSE_MS = 250;

/** Settings that name a server to use instead of a local one. */
export const externalFields = {
  /** host:port, commas between. */
  ...kafkaFields,
  KAFKA_BROKERS: optional(addresses()),
  DATABASE_URL: optional(url(["postgres:", "postgresql:"])),
  REDIS_URL: optional(url(["redis:", "rediss:"])),
};

/** Addresses of servers; undefined for one that runs locally. */
export type ExternalAddresses = {
  readonly brokers: readonly string[] | undefined;
  readonly databaseUrl: string | undefined;
  readonly redisUrl: string | undefined;
  /** TLS and SASL of the brokers, and the settings they were read from. */
  readonly kafka?: {
    readonly kafkaAccess: KafkaAccess;
    readonly kafkaSecurity: Readonly<Record<string, string>>;
  };
};

/** Reads them; other names of the environment are not looked at. @throws ConfigError naming those that are no addresses */
export function readExternal(env: Readonly<Record<string, string | undefined>>): ExternalAddresses {
  const { KAFKA_BROKERS, DATABASE_URL, REDIS_URL } = env;
  const kafkaSecurity = Object.fromEntries(
    Object.entries(env).filter(([name]) => /^KAFKA_(TLS|SASL)_/.test(name)),
  ) as Record<string, string>; // those that are there
  const given = { ...kafkaSecurity, KAFKA_BROKERS, DATABASE_URL, REDIS_URL };
  const read = readEnv(given, externalFields);
  return {
    brokers: read.KAFKA_BROKERS,
    ...(read.KAFKA_BROKERS && { kafka: { kafkaAccess: readKafkaAccess(read), kafkaSecurity } }),
    databaseUrl: read.DATABASE_URL,
    redisUrl: read.REDIS_URL,
  };
}

/**
 * Asks each server that is given one small thing, again and again for 6 s.
 * @throws LocalFault naming the setting, the address without credentials and what the server's side said; the signal's
 * reason when it aborts
 */
export async function checkExternal(
  { brokers, kafka, databaseUrl, redisUrl }: ExternalAddresses,
  signal: AbortSignal | undefined,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<void> {
  const answer = (setting: string, address: string, ask: () => Promise<void>) =>
    insist({ setting, address, ask, signal, timeoutMs });
  await Promise.all([
    brokers &&
      answer("KAFKA_BROKERS", brokers.join(","), () => askKafka(brokers, kafka?.kafkaAccess)),
    databaseUrl &&
      answer("DATABASE_URL", toAddress(databaseUrl, 5432), () => askPostgres(databaseUrl)),
    redisUrl && answer("REDIS_URL", toAddress(redisUrl, 6379), () => askRedis(redisUrl)),
  ]);
}

async function askKafka(
  brokers: readonly string[],
  access: KafkaAccess | undefined,
): Promise<void> {
  await checkBrokers({ ...access, brokers, log: SILENT });
}

async function askPostgres(url: string): Promise<void> {
  await using database = await openPostgres({ url, poolMax: 1, log: SILENT });
  await database.query("select 1");
}

async function askRedis(url: string): Promise<void> {
  let failure: unknown;
  const warn: Log["warn"] = (_, fields) => {
    failure = fields?.error;
  };
  const log = { ...SILENT, warn };
  await using redis = await openRedis({ url, log });
  if (!redis.ready) throw new Error("it does not answer", { cause: failure });
}

/** The doors report here what is thrown anyway. */
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT };

async function insist(options: {
  setting: string;
  address: string;
  ask: () => Promise<void>;
  signal: AbortSignal | undefined;
  timeoutMs: number;
}): Promise<void> {
  const { setting, address, ask, signal, timeoutMs } = options;
  const deadline = performance.now() + timeoutMs;
  let failure: unknown = new Error("it does not answer");
  const over = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
  const ended = new Promise<false>((resolve) => {
    over.addEventListener("abort", () => resolve(false), { once: true });
  });
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    const isThere = ask().then(
      () => true,
      (thrown: unknown) => {
        failure = thrown;
        return undefined;
      },
    );
    const result = await Promise.race([isThere, ended]);
    if (result) return;
    if (result === false) break;
    await sleep(PAUSE_MS);
  }
  signal?.throwIfAborted();
  throw new LocalFault(
    `${setting}: ${address} gave no usable answer within ${timeoutMs / 1000} s (${describeError(failure)}); start it, correct ${setting}, or unset it to run a local one`,
    { cause: failure },
  );
}

/** Host, port and path of a URL: never its user, password or parameters. */
function toAddress(url: string, defaultPort: number): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || "local socket"}:${port || defaultPort}${pathname === "/" ? "" : pathname}`;
}
