/** Settings of the chat service. */
import { integer, readEnv, url } from "@headgate/kit/env";
import { readServerAccess, rpcServerFields } from "@headgate/kit/grpc";
import { kafkaFields, readKafkaAccess } from "@headgate/kit/kafka-settings";
import { commonFields } from "@headgate/kit/lifecycle";

/** What the service was told by its environment. */
export type Config = ReturnType<typeof readConfig>;

/** Reads the settings. @throws ConfigError with all faults at once */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const read = readEnv(env, {
    ...commonFields,
    ...rpcServerFields,
    ...kafkaFields,
    /** The database that holds the schema `chat`. */
    DATABASE_URL: url(["postgres:", "postgresql:"]),
    /** Port of the rpcs; 0: any free one. */
    HEADGATE_GRPC_PORT: integer({ min: 0, max: 65_535, fallback: 9090 }),
  });
  return Object.freeze({
    ...read,
    access: readServerAccess("chat", read),
    kafka: readKafkaAccess(read),
  });
}
