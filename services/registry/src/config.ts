/** The registry's settings. */
import { bytes, ConfigError, flag, integer, optional, readEnv, text, url } from "@headgate/kit/env";
import { readServerAccess, rpcServerFields } from "@headgate/kit/grpc";
import { kafkaFields, readKafkaAccess } from "@headgate/kit/kafka-settings";
import { commonFields } from "@headgate/kit/lifecycle";
import { isToken } from "./credential.ts";
import type { FirstAdmin } from "./service-first-admin.ts";
import { USER_NAME } from "./service-user-checks.ts";

/** Settings of the registry; each sentence is its documentation. */
export type Config = Readonly<ReturnType<typeof readConfig>>;

const fields = {
  ...commonFields,
  ...rpcServerFields,
  /** Postgres of the registry's schema. */
  DATABASE_URL: url(["postgres:", "postgresql:"]),
  ...kafkaFields,
  /** Port of the rpcs; 0: any free one. */
  HEADGATE_GRPC_PORT: integer({ min: 0, max: 65_535, fallback: 9_090 }),
  /** 32 bytes in base64 or hex: seals credentials that a dialect must show again. Lost: they cannot be shown, but work. */
  HEADGATE_SECRET_KEY: bytes(32),
  /** Name of the first system admin, made when there is no user yet. */
  HEADGATE_ADMIN_NAME: optional(text()),
  /** Password of the first system admin, 8 to 128 characters. */
  HEADGATE_ADMIN_PASSWORD: optional(text()),
  /** A bearer token of the first system admin: "hg_" and 43 characters of base64url. */
  HEADGATE_ADMIN_TOKEN: optional(text()),
  /** true: that account becomes an active system admin with this password and this token, once for each token. */
  HEADGATE_ADMIN_RECOVER: flag(false),
};

/** Reads the environment. @throws ConfigError with all faults */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const values = readEnv(env, fields);
  return Object.freeze({
    host: values.HEADGATE_HOST,
    opsHost: values.HEADGATE_OPS_HOST ?? values.HEADGATE_HOST,
    opsPort: values.HEADGATE_OPS_PORT,
    grpcPort: values.HEADGATE_GRPC_PORT,
    access: readServerAccess("registry", values),
    databaseUrl: values.DATABASE_URL,
    kafka: readKafkaAccess(values),
    secretKey: values.HEADGATE_SECRET_KEY,
    firstAdmin: readFirstAdmin({
      name: values.HEADGATE_ADMIN_NAME,
      password: values.HEADGATE_ADMIN_PASSWORD,
      token: values.HEADGATE_ADMIN_TOKEN,
      isRecovered: values.HEADGATE_ADMIN_RECOVER,
    }),
  });
}

type AdminValues = Readonly<Record<keyof FirstAdmin, string | undefined>> & {
  readonly isRecovered: boolean;
};

function readFirstAdmin(values: AdminValues): (FirstAdmin & { isRecovered: boolean }) | undefined {
  const { name, password, token, isRecovered } = values;
  const faults: string[] = [];
  if (isRecovered && (name === undefined || password === undefined || token === undefined)) {
    faults.push(
      "HEADGATE_ADMIN_RECOVER needs HEADGATE_ADMIN_NAME, HEADGATE_ADMIN_PASSWORD and HEADGATE_ADMIN_TOKEN",
    );
  }
  if (name === undefined) {
    if (password !== undefined) faults.push("HEADGATE_ADMIN_PASSWORD needs HEADGATE_ADMIN_NAME");
    if (token !== undefined) faults.push("HEADGATE_ADMIN_TOKEN needs HEADGATE_ADMIN_NAME");
  } else {
    if (!USER_NAME.test(name)) faults.push(`HEADGATE_ADMIN_NAME must match ${USER_NAME.source}`);
    if (password === undefined && token === undefined) {
      faults.push("HEADGATE_ADMIN_NAME needs HEADGATE_ADMIN_PASSWORD or HEADGATE_ADMIN_TOKEN");
    }
  }
  const length = password === undefined ? 8 : [...password].length;
  if (length < 8 || length > 128)
    faults.push("HEADGATE_ADMIN_PASSWORD must have 8 to 128 characters");
  if (token !== undefined && !isToken(token)) {
    faults.push("HEADGATE_ADMIN_TOKEN must be hg_ and 43 characters of base64url");
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return name === undefined ? undefined : { name, password, token, isRecovered };
}
