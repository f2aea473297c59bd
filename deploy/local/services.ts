/** The services of a local system: each a process of its own, with the settings it needs and no others. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { join } from "node:path";
import type { PartAddresses } from "./parts.ts";
import { ROOT } from "./root.ts";
import type { Secrets } from "./secrets.ts";
import type { ProcessSpec } from "./supervise.ts";

/** Every service that is started, the one that others are in front of last. */
export const SERVICE_NAMES = ["registry", "rate-limiter", "chat", "gateway"] as const;

/** A service, named as its folder. */
export type ServiceName = (typeof SERVICE_NAMES)[number];

/** Ports that the services of one system use, by name: an ops port each, and one for rpcs where it serves them. */
export const SERVICE_PORTS = [
  "registry-rpc",
  "registry-ops",
  "rate-limiter-rpc",
  "rate-limiter-ops",
  "chat-rpc",
  "chat-ops",
  "gateway-ops",
] as const;

/** What the settings of the services are made from. */
export type ServiceContext = {
  readonly parts: PartAddresses;
  readonly ports: Readonly<Record<(typeof SERVICE_PORTS)[number], number>>;
  readonly secrets: Secrets;
  /** The registry makes the admin of the secrets an active system admin, whatever was done to the account. */
  readonly recoverAdmin: boolean;
  readonly host: string;
  readonly port: number;
  readonly publicUrl: string;
  readonly logLevel: string;
  readonly logFolder: string;
  /** More settings for single services: of the person who starts it, of tests, of the bench. */
  readonly serviceEnv: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** Read for OTEL_* and what Node itself needs. */
  readonly env: NodeJS.ProcessEnv;
};

/** ms from the stop signal to the end: the gateway goes first, then the others, then the parts, all within 20 s. */
const STOP_MS = { gateway: 6_000, other: 4_000 };
/** ms that a service ends by itself before it would be killed. */
const STOP_MARGIN_MS = 500;
/**
 * Where all share one machine, a storm is taken in first and shown a moment later: whoever accepts must not wait for the
 * processor behind whoever catches up.
 */
const NICENESS: Partial<Record<ServiceName, number>> = { chat: 5 };
const READY_TIMEOUT_MS = 60_000;
const READY_PROBE_MS = 2_000;

/** What is handed on to every service as it is: where programs are, time, certificates, telemetry. */
const HANDED_ON = /^(PATH|HOME|LANG|TZ|TMPDIR|NODE_EXTRA_CA_CERTS|NODE_COMPILE_CACHE|OTEL_.*)$/;

/** How a service is run: `node services/<name>/src/main.ts` from the root, secrets in its environment alone. */
export function describeService(name: ServiceName, context: ServiceContext): ProcessSpec {
  const main = `services/${name}/src/main.ts`;
  const stopTimeoutMs = name === "gateway" ? STOP_MS.gateway : STOP_MS.other;
  return {
    name,
    command: process.execPath,
    args: ["--disable-warning=TimeoutNegativeWarning", main],
    cwd: ROOT,
    env: {
      ...Object.fromEntries(
        Object.entries(context.env).flatMap(([key, value]) =>
          value !== undefined && HANDED_ON.test(key) ? [[key, value]] : [],
        ),
      ),
      KAFKAJS_NO_PARTITIONER_WARNING: "1",
      HEADGATE_HOST: "127.0.0.1",
      HEADGATE_OPS_HOST: "127.0.0.1", // also where the front door listens on another address
      HEADGATE_LOG_LEVEL: context.logLevel,
      HEADGATE_DRAIN_TIMEOUT_MS: String(stopTimeoutMs - STOP_MARGIN_MS),
      HEADGATE_OPS_PORT: String(context.ports[`${name}-ops`]),
      ...settingsOf(name, context),
      ...context.serviceEnv[name],
    },
    logFile: join(context.logFolder, `${name}.log`),
    marker: main,
    stopSignal: "SIGTERM",
    niceness: NICENESS[name],
    stopTimeoutMs,
    isReady: () => isReady(context.ports[`${name}-ops`]),
    readyTimeoutMs: READY_TIMEOUT_MS,
  };
}

function settingsOf(name: ServiceName, context: ServiceContext): Record<string, string> {
  const { parts, ports, secrets } = context;
  const kafka = { KAFKA_BROKERS: parts.kafkaBrokers.join(","), ...parts.kafkaSecurity };
  const callers = { HEADGATE_RPC_VERIFY_KEYS: `gateway:${toPublicKey(secrets.rpcSigningKey)}` };
  switch (name) {
    case "registry":
      return {
        ...kafka,
        ...callers,
        DATABASE_URL: parts.databaseUrl,
        HEADGATE_GRPC_PORT: String(ports["registry-rpc"]),
        HEADGATE_SECRET_KEY: secrets.secretKey,
        HEADGATE_ADMIN_NAME: secrets.adminName,
        HEADGATE_ADMIN_PASSWORD: secrets.adminPassword,
        HEADGATE_ADMIN_TOKEN: secrets.adminToken,
        HEADGATE_ADMIN_RECOVER: String(context.recoverAdmin),
      };
    case "rate-limiter":
      return {
        ...callers,
        REDIS_URL: parts.redisUrl,
        HEADGATE_GRPC_PORT: String(ports["rate-limiter-rpc"]),
      };
    case "chat":
      return {
        ...kafka,
        ...callers,
        DATABASE_URL: parts.databaseUrl,
        HEADGATE_GRPC_PORT: String(ports["chat-rpc"]),
      };
    case "gateway":
      return {
        ...kafka,
        HEADGATE_HOST: context.host,
        HEADGATE_PORT: String(context.port),
        HEADGATE_PUBLIC_URL: context.publicUrl,
        HEADGATE_RPC_SIGNING_KEY: secrets.rpcSigningKey,
        HEADGATE_REGISTRY_ADDRESS: `127.0.0.1:${ports["registry-rpc"]}`,
        HEADGATE_CHAT_ADDRESS: `127.0.0.1:${ports["chat-rpc"]}`,
        HEADGATE_RATE_LIMITER_ADDRESS: `127.0.0.1:${ports["rate-limiter-rpc"]}`,
      };
  }
}

/** The public half of a private key, both DER in base64. */
function toPublicKey(privateKey: string): string {
  const key = { key: Buffer.from(privateKey, "base64"), format: "der", type: "pkcs8" } as const;
  const publicKey = createPublicKey(createPrivateKey(key));
  return publicKey.export({ format: "der", type: "spki" }).toString("base64");
}

async function isReady(opsPort: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(READY_PROBE_MS);
    const answer = await fetch(`http://127.0.0.1:${opsPort}/readyz`, { signal });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}
