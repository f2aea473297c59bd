/** Settings of the rate-limiter. */
import { integer, readEnv, url } from "@headgate/kit/env";
import { readServerAccess, rpcServerFields } from "@headgate/kit/grpc";
import { commonFields } from "@headgate/kit/lifecycle";

/** What the service was told by its environment. */
export type Config = ReturnType<typeof readConfig>;

/** Reads the settings. @throws ConfigError with all faults at once */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const values = readEnv(env, {
    ...commonFields,
    ...rpcServerFields,
    /** The Redis that budgets and idempotency memory are kept in. */
    REDIS_URL: url(["redis:", "rediss:"]),
    /** Port of the rpcs; 0: any free one. */
    HEADGATE_GRPC_PORT: integer({ min: 0, max: 65_535, fallback: 9090 }),
    /** Bytes of kept answers, for each hook or user and in all: see KeptBytes. */
    HEADGATE_KEPT_BYTES_PER_SCOPE: integer({ min: 4_096, max: 2 ** 40, fallback: 8 * 1024 ** 2 }),
    HEADGATE_KEPT_BYTES: integer({ min: 4_096, max: 2 ** 40, fallback: 64 * 1024 ** 2 }),
  });
  return Object.freeze({ ...values, access: readServerAccess("rate-limiter", values) });
}
