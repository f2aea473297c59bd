/** Settings of processes that serve or call rpcs. Keys and certificates are read once, at the start. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { isIPv4 } from "node:net";
import { createSecureContext } from "node:tls";
import { ConfigError, type Field, file, flag, integer, optional } from "../env.ts";
import type { ClientAccess, ServerAccess, TlsIdentity } from "./access.ts";
import { CLOCK_SKEW_S, createSigner, createVerifier, type VerifyKey } from "./statement.ts";

const tlsFields = {
  /** Path of this process's certificate (PEM, with those between it and the authority). With _KEY and _CA: mutual TLS. */
  HEADGATE_RPC_TLS_CERT: optional(file()),
  /** Path of the certificate's private key (PEM). */
  HEADGATE_RPC_TLS_KEY: optional(file()),
  /** Path of the authority (PEM) that certificates of the other end must come from. */
  HEADGATE_RPC_TLS_CA: optional(file()),
};

/** Settings of a process that calls rpcs, to spread into its `readEnv`. */
export const rpcClientFields = {
  ...tlsFields,
  /** Private Ed25519 key that signs identity statements: PKCS #8 DER in base64. Default: none are sent. */
  HEADGATE_RPC_SIGNING_KEY: optional(signingKey()),
};

/** Settings of a process that serves rpcs, to spread into its `readEnv`. */
export const rpcServerFields = {
  ...tlsFields,
  /** Whose statements count: `<service>:<public Ed25519 key, SPKI DER in base64>`, commas between; a service may have several. */
  HEADGATE_RPC_VERIFY_KEYS: optional(verifyKeys()),
  /** Seconds by which the clock of a caller may differ, 0 to 3,600. */
  HEADGATE_RPC_CLOCK_SKEW_SECONDS: integer({ min: 0, max: 3_600, fallback: CLOCK_SKEW_S }),
  /** Whether rpcs may be served beyond the loopback to callers that nothing identifies. */
  HEADGATE_RPC_INSECURE: flag(false),
};

type Values<Fields> = {
  readonly [Name in keyof Fields]: Fields[Name] extends Field<infer T> ? T : never;
};

/** What the process shows to those it calls. @throws ConfigError */
export function readClientAccess(
  service: string,
  values: Values<typeof rpcClientFields>,
): ClientAccess {
  const key = values.HEADGATE_RPC_SIGNING_KEY;
  return { tls: readTls(values), signer: key && createSigner({ issuer: service, key }) };
}

/**
 * How the process knows its callers.
 * @throws ConfigError also when it would listen beyond the loopback and could not know any of them
 */
export function readServerAccess(
  service: string,
  values: Values<typeof rpcServerFields> & { readonly HEADGATE_HOST: string },
): ServerAccess {
  const tls = readTls(values);
  const keys = values.HEADGATE_RPC_VERIFY_KEYS;
  const clockSkewS = values.HEADGATE_RPC_CLOCK_SKEW_SECONDS;
  const isOpen = !keys && !tls && !values.HEADGATE_RPC_INSECURE;
  if (isOpen && !isLoopback(values.HEADGATE_HOST)) {
    throw new ConfigError([
      "HEADGATE_HOST is not a loopback address, so rpcs need HEADGATE_RPC_VERIFY_KEYS, or HEADGATE_RPC_TLS_CERT, _KEY " +
        "and _CA; HEADGATE_RPC_INSECURE=true serves everybody who reaches the port",
    ]);
  }
  return { tls, verifier: keys && createVerifier({ audience: service, keys, clockSkewS }) };
}

/** Whether only this machine reaches an address. Of names, only `localhost` is known to. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function readTls(values: Values<typeof tlsFields>): TlsIdentity | undefined {
  const {
    HEADGATE_RPC_TLS_CERT: certificate,
    HEADGATE_RPC_TLS_KEY: key,
    HEADGATE_RPC_TLS_CA: authority,
  } = values;
  if (!certificate && !key && !authority) return undefined;
  if (!certificate || !key || !authority) {
    throw new ConfigError(["HEADGATE_RPC_TLS_CERT, _KEY and _CA must be set together"]);
  }
  try {
    createSecureContext({ cert: certificate, key, ca: authority });
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException; // of OpenSSL; its text says no more that helps
    throw new ConfigError([`HEADGATE_RPC_TLS_CERT, _KEY and _CA cannot be used (${code})`]);
  }
  return { certificate, key, authority };
}

function signingKey(): Field<KeyObject> {
  return { read: (raw) => readKey(raw, "pkcs8"), required: true };
}

function verifyKeys(): Field<readonly VerifyKey[]> {
  return {
    required: true,
    read(raw) {
      const keys = raw.split(",").map((part) => {
        const [, issuer, encoded] = /^([a-z][a-z0-9-]{0,62}):(\S+)$/.exec(part.trim()) ?? [];
        if (!issuer || !encoded) throw new Error("must be <service>:<key>, or several with commas");
        return { issuer, key: readKey(encoded, "spki") };
      });
      const isTwice = ({ key }: VerifyKey, at: number) =>
        keys.slice(0, at).some((other) => other.key.equals(key));
      if (keys.some(isTwice)) throw new Error("must not hold a key twice");
      return keys;
    },
  };
}

function readKey(raw: string, type: "pkcs8" | "spki"): KeyObject {
  const wanted = type === "pkcs8" ? "a private Ed25519 key (PKCS #8" : "public Ed25519 keys (SPKI";
  try {
    const encoded = { key: Buffer.from(raw, "base64"), format: "der" } as const;
    const key =
      type === "pkcs8"
        ? createPrivateKey({ ...encoded, type })
        : createPublicKey({ ...encoded, type });
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // said below: the library's own message may quote what it was given
  }
  throw new Error(`must hold ${wanted} DER in base64)`);
}
