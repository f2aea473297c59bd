/** The settings of `npm start`: its own, those of the servers it may use, and those it hands on to the services. */
import { resolve } from "node:path";
import { flag, integer, oneOf, optional, readEnv, text, url } from "@headgate/kit/env";
import { LOG_LEVELS } from "@headgate/kit/log";
import { externalFields } from "./external.ts";
import { ROOT } from "./root.ts";
import type { ServiceName } from "./services.ts";

const fields = {
  /** Port of the front door. */
  HEADGATE_PORT: integer({ min: 1, max: 65_535, fallback: 8065 }),
  /** Address the front door listens on; everything else listens on 127.0.0.1. */
  HEADGATE_HOST: text("127.0.0.1"),
  /** Folder for data, logs and demo.json; relative ones are of the project root. */
  HEADGATE_DATA: text(".headgate"),
  /** Absolute address that senders use. Default: the local one. */
  HEADGATE_PUBLIC_URL: optional(url(["http:", "https:"])),
  /** Least severity in the services' logs. */
  HEADGATE_LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  ...externalFields,
};

/** Settings of single services, handed on as they are; the README of the service says what they mean, and it checks them. */
const handedOn = {
  gateway: {
    HEADGATE_TRUSTED_PROXIES: optional(text()),
    HEADGATE_MATTERMOST_INCOMING_WEBHOOKS: optional(flag(true)),
    HEADGATE_MATTERMOST_USERNAME_OVERRIDE: optional(flag(true)),
    HEADGATE_MATTERMOST_ICON_OVERRIDE: optional(flag(true)),
    HEADGATE_HOOK_CEILING_PER_MINUTE: optional(text()),
    HEADGATE_CONNECTIONS_MAX: optional(text()),
    HEADGATE_CONNECTIONS_PER_SOURCE: optional(text()),
    HEADGATE_REQUESTS_PER_SOURCE: optional(text()),
    HEADGATE_BODY_BYTES_TOTAL: optional(text()),
    HEADGATE_BODY_BYTES_PER_HOOK: optional(text()),
    HEADGATE_BODY_BYTES_PER_SOURCE: optional(text()),
    HEADGATE_LIVE_MESSAGES_MAX: optional(text()),
    HEADGATE_LIVE_BYTES_MAX: optional(text()),
    HEADGATE_STREAMS_MAX: optional(text()),
    HEADGATE_STREAMS_PER_ACCOUNT: optional(text()),
    HEADGATE_STREAM_BUFFER_BYTES: optional(text()),
  },
  "rate-limiter": {
    HEADGATE_KEPT_BYTES: optional(text()),
    HEADGATE_KEPT_BYTES_PER_SCOPE: optional(text()),
  },
} satisfies Partial<Record<ServiceName, object>>;

const allFields = { ...fields, ...handedOn.gateway, ...handedOn["rate-limiter"] };

/** Names of all settings of `npm start`; each is in usage.txt and in the README. */
export const SETTING_NAMES: readonly string[] = Object.keys(allFields);

/** The settings of a run. */
export type Settings = ReturnType<typeof readSettings>;

/** Reads the environment. @throws ConfigError with all faults at once, an unknown HEADGATE_* name among them */
export function readSettings(env: Readonly<Record<string, string | undefined>>) {
  const read = readEnv(env, allFields);
  const pick = (names: object) =>
    Object.fromEntries(
      Object.keys(names).flatMap((name) => {
        const value = env[name]?.trim();
        return value ? [[name, value] as const] : [];
      }),
    );
  return Object.freeze({
    port: read.HEADGATE_PORT,
    host: read.HEADGATE_HOST,
    dataDir: resolve(ROOT, read.HEADGATE_DATA),
    publicUrl: read.HEADGATE_PUBLIC_URL?.replace(/\/+$/, ""),
    logLevel: read.HEADGATE_LOG_LEVEL,
    /** By service; empty where nothing is set. */
    serviceEnv: {
      gateway: pick(handedOn.gateway),
      "rate-limiter": pick(handedOn["rate-limiter"]),
    },
  });
}
