/** The gateway's settings: every field with its default and bounds; all faults are told at once. */
import { addresses, flag, integer, optional, readEnv, url } from "@headgate/kit/env";
import { readClientAccess, rpcClientFields } from "@headgate/kit/grpc";
import { kafkaFields, readKafkaAccess } from "@headgate/kit/kafka-settings";
import { commonFields } from "@headgate/kit/lifecycle";
import { networks } from "./source.ts";

const MIB = 1024 * 1024;

/** What `main.ts` wires with. */
export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the environment.
 * @throws ConfigError with every fault
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const read = readEnv(env, {
    ...commonFields,
    ...rpcClientFields,
    ...kafkaFields,
    /** Port of the front door; 0: any free one. */
    HEADGATE_PORT: integer({ min: 0, max: 65_535, fallback: 8065 }),
    /** Absolute address that senders and browsers use. Default: the local one. */
    HEADGATE_PUBLIC_URL: optional(url(["http:", "https:"])),
    /** `host:port` of each service that is called. Required, but each may be away. */
    HEADGATE_REGISTRY_ADDRESS: addresses(),
    HEADGATE_CHAT_ADDRESS: addresses(),
    HEADGATE_RATE_LIMITER_ADDRESS: addresses(),
    /** Networks (CIDR, commas between) of proxies whose X-Forwarded-For is believed. Default: none. */
    HEADGATE_TRUSTED_PROXIES: networks(),
    /** Announcements of messages kept in memory for readers who come back, and their bytes. */
    HEADGATE_LIVE_MESSAGES_MAX: integer({ min: 100, max: 1_000_000, fallback: 10_000 }),
    HEADGATE_LIVE_BYTES_MAX: integer({ min: MIB, max: 16 * 1024 * MIB, fallback: 64 * MIB }),
    /** Live streams of this process, and of one account in it. */
    HEADGATE_STREAMS_MAX: integer({ min: 1, max: 100_000, fallback: 1_000 }),
    HEADGATE_STREAMS_PER_ACCOUNT: integer({ min: 1, max: 100_000, fallback: 32 }),
    /** Bytes that may wait for all slow readers of live streams together. */
    HEADGATE_STREAM_BUFFER_BYTES: integer({ min: MIB, max: 16 * 1024 * MIB, fallback: 64 * MIB }),
    /** Whether Mattermost's incoming webhooks are served, and may set a name or a picture. Default: true. */
    HEADGATE_MATTERMOST_INCOMING_WEBHOOKS: flag(true),
    HEADGATE_MATTERMOST_USERNAME_OVERRIDE: flag(true),
    HEADGATE_MATTERMOST_ICON_OVERRIDE: flag(true),
    /** Connections at once: of all clients, and of one client address (IPv6: its /64). Trusted proxies have no bound of their own. */
    HEADGATE_CONNECTIONS_MAX: integer({ min: 16, max: 1_000_000, fallback: 20_000 }),
    HEADGATE_CONNECTIONS_PER_SOURCE: integer({ min: 1, max: 1_000_000, fallback: 2_048 }),
    /** Hook requests under way at once of one client address, behind trusted proxies the forwarded one. */
    HEADGATE_REQUESTS_PER_SOURCE: integer({ min: 1, max: 1_000_000, fallback: 4_096 }),
    /** Events a minute of a hook without limits of its own, ten seconds of them at once; 0: none. An order above what one sender makes. */
    HEADGATE_HOOK_CEILING_PER_MINUTE: integer({ min: 0, max: 1_000_000_000, fallback: 60_000 }),
    /** Bytes of memory for request bodies: in all, of one hook (or account), and of one client address before its hook is known. */
    HEADGATE_BODY_BYTES_TOTAL: integer({ min: 4 * MIB, max: 4096 * MIB, fallback: 64 * MIB }),
    HEADGATE_BODY_BYTES_PER_HOOK: integer({ min: 2 * MIB, max: 4096 * MIB, fallback: 16 * MIB }),
    HEADGATE_BODY_BYTES_PER_SOURCE: integer({ min: MIB, max: 4096 * MIB, fallback: 8 * MIB }),
  });
  return Object.freeze({
    kafka: readKafkaAccess(read),
    host: read.HEADGATE_HOST,
    port: read.HEADGATE_PORT,
    opsHost: read.HEADGATE_OPS_HOST ?? read.HEADGATE_HOST,
    opsPort: read.HEADGATE_OPS_PORT,
    /** Without trailing slash. */
    publicUrl: (read.HEADGATE_PUBLIC_URL ?? `http://127.0.0.1:${read.HEADGATE_PORT}`).replace(
      /\/+$/,
      "",
    ),
    rpcAccess: readClientAccess("gateway", read),
    registryAddress: read.HEADGATE_REGISTRY_ADDRESS[0] ?? "",
    chatAddress: read.HEADGATE_CHAT_ADDRESS[0] ?? "",
    rateLimiterAddress: read.HEADGATE_RATE_LIMITER_ADDRESS[0] ?? "",
    trustedProxies: read.HEADGATE_TRUSTED_PROXIES,
    connections: {
      max: read.HEADGATE_CONNECTIONS_MAX,
      perSourceMax: read.HEADGATE_CONNECTIONS_PER_SOURCE,
    },
    requestsPerSourceMax: read.HEADGATE_REQUESTS_PER_SOURCE,
    hookCeilingPerMinute: read.HEADGATE_HOOK_CEILING_PER_MINUTE,
    bodies: {
      totalBytesMax: read.HEADGATE_BODY_BYTES_TOTAL,
      hookBytesMax: read.HEADGATE_BODY_BYTES_PER_HOOK,
      sourceBytesMax: read.HEADGATE_BODY_BYTES_PER_SOURCE,
    },
    logsAccepted: read.HEADGATE_LOG_LEVEL === "debug",
    live: {
      countMax: read.HEADGATE_LIVE_MESSAGES_MAX,
      bytesMax: read.HEADGATE_LIVE_BYTES_MAX,
    },
    streams: {
      streamsMax: read.HEADGATE_STREAMS_MAX,
      perAccountMax: read.HEADGATE_STREAMS_PER_ACCOUNT,
      bufferBytesMax: read.HEADGATE_STREAM_BUFFER_BYTES,
    },
    mattermost: {
      incomingWebhooks: read.HEADGATE_MATTERMOST_INCOMING_WEBHOOKS,
      usernameOverride: read.HEADGATE_MATTERMOST_USERNAME_OVERRIDE,
      iconOverride: read.HEADGATE_MATTERMOST_ICON_OVERRIDE,
    },
  });
}
