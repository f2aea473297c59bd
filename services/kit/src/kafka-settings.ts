/** Settings of the connection to Kafka, the same in every service: brokers, TLS, SASL. */
import { readFileSync } from "node:fs";
import { addresses, ConfigError, flag, oneOf, optional, text } from "./env.ts";
import type { KafkaAccess, SaslMechanism } from "./kafka/types.ts";

const MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const satisfies SaslMechanism[];

/** To spread into a service's `readEnv`; `readKafkaAccess` makes the access of what was read. */
export const kafkaFields = {
  /** Brokers, `host:port` with commas between. */
  KAFKA_BROKERS: addresses(),
  /** Whether connections are encrypted. */
  KAFKA_TLS_ENABLED: flag(false),
  /** PEM file of the authorities that a broker's certificate may be of. Default: those that Node trusts. */
  KAFKA_TLS_CA_FILE: optional(text()),
  /** PEM files of our own certificate and its key, where brokers ask for one. */
  KAFKA_TLS_CERT_FILE: optional(text()),
  KAFKA_TLS_KEY_FILE: optional(text()),
  /** Name that a broker's certificate must be for. Default: the host of its address. */
  KAFKA_TLS_SERVERNAME: optional(text()),
  /** How we authenticate; absent: not at all. */
  KAFKA_SASL_MECHANISM: optional(oneOf(MECHANISMS)),
  KAFKA_SASL_USERNAME: optional(text()),
  /** The password, or the file that holds it (a line break at its end is left out). */
  KAFKA_SASL_PASSWORD: optional(text()),
  KAFKA_SASL_PASSWORD_FILE: optional(text()),
};

type Values = {
  readonly [Name in keyof typeof kafkaFields]: (typeof kafkaFields)[Name] extends {
    read: (raw: string) => infer Value;
  }
    ? Value | undefined
    : never;
};

/**
 * Reads the files that the settings name.
 * @throws ConfigError naming every setting that is missing, has no use, or whose file cannot be read
 */
export function readKafkaAccess(values: Values): KafkaAccess {
  const faults: string[] = [];
  const tls = values.KAFKA_TLS_ENABLED ? readTls(values, faults) : undefined;
  if (!tls) refuseUnused(values, "KAFKA_TLS_", "KAFKA_TLS_ENABLED=true", faults);
  const sasl = values.KAFKA_SASL_MECHANISM ? readSasl(values, faults) : undefined;
  if (!values.KAFKA_SASL_MECHANISM) {
    refuseUnused(values, "KAFKA_SASL_", "KAFKA_SASL_MECHANISM", faults);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return { brokers: values.KAFKA_BROKERS ?? [], ...(tls && { tls }), ...(sasl && { sasl }) };
}

function readTls(values: Values, faults: string[]): KafkaAccess["tls"] {
  if ((values.KAFKA_TLS_CERT_FILE === undefined) !== (values.KAFKA_TLS_KEY_FILE === undefined)) {
    faults.push("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE need each other");
  }
  return {
    ca: readFile(values, "KAFKA_TLS_CA_FILE", faults),
    cert: readFile(values, "KAFKA_TLS_CERT_FILE", faults),
    key: readFile(values, "KAFKA_TLS_KEY_FILE", faults),
    servername: values.KAFKA_TLS_SERVERNAME,
  };
}

function readSasl(values: Values, faults: string[]): KafkaAccess["sasl"] {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username } = values;
  if (username === undefined) faults.push("KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME");
  const inFile = values.KAFKA_SASL_PASSWORD_FILE !== undefined;
  if ((values.KAFKA_SASL_PASSWORD !== undefined) === inFile) {
    faults.push(
      "KAFKA_SASL_MECHANISM needs one of KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE",
    );
  }
  const password = inFile
    ? readFile(values, "KAFKA_SASL_PASSWORD_FILE", faults)?.replace(/\r?\n$/, "")
    : values.KAFKA_SASL_PASSWORD;
  if (inFile && password === "") faults.push("KAFKA_SASL_PASSWORD_FILE is empty");
  return mechanism && { mechanism, username: username ?? "", password: password ?? "" };
}

function readFile(
  values: Values,
  name: `KAFKA_${string}_FILE` & keyof Values,
  faults: string[],
): string | undefined {
  const path = values[name];
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    faults.push(`${name} cannot be read: ${(thrown as NodeJS.ErrnoException).code}`);
    return undefined;
  }
}

/** A setting that would be ignored: perhaps the one that switches its kind on was forgotten. */
function refuseUnused(values: Values, prefix: string, missing: string, faults: string[]): void {
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith(prefix) && typeof value === "string")
      faults.push(`${name} needs ${missing}`);
  }
}
