import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { ConfigError, readEnv } from "../env.ts";
import { commonFields } from "../lifecycle.ts";
import {
  readClientAccess,
  readServerAccess,
  rpcClientFields,
  rpcServerFields,
} from "./settings.ts";

const ed25519 = generateKeyPairSync("ed25519");
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const PRIVATE = encode(ed25519.privateKey.export({ format: "der", type: "pkcs8" }));
const PUBLIC = encode(ed25519.publicKey.export({ format: "der", type: "spki" }));

function encode(key: Buffer): string {
  return key.toString("base64");
}

function serve(env: Record<string, string>) {
  return readServerAccess("chat", readEnv(env, { ...commonFields, ...rpcServerFields }));
}

function call(env: Record<string, string>) {
  return readClientAccess("gateway", readEnv(env, rpcClientFields));
}

/** The faults that reading throws. */
function faultsOf(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.faults;
    throw thrown;
  }
  return [];
}

test.each(["0.0.0.0", "::", "10.0.0.7", "chat.internal", "127.0.0.1.example"])(
  "rpcs are not served on %s to callers that nothing identifies, unless it is said by name",
  (host) => {
    const [fault, ...more] = faultsOf(() => serve({ HEADGATE_HOST: host }));
    expect(more).toEqual([]);
    for (const name of ["VERIFY_KEYS", "TLS_CERT", "INSECURE"]) {
      expect(fault).toContain(`HEADGATE_RPC_${name}`);
    }
    expect(faultsOf(() => serve({ HEADGATE_HOST: host, HEADGATE_RPC_INSECURE: "true" }))).toEqual(
      [],
    );
    const keys = { HEADGATE_RPC_VERIFY_KEYS: `gateway:${PUBLIC}` };
    expect(faultsOf(() => serve({ HEADGATE_HOST: host, ...keys }))).toEqual([]);
  },
);

test("the default host is refused without keys or certificates", () => {
  expect(faultsOf(() => serve({}))).toHaveLength(1);
});

test.each(["127.0.0.1", "127.8.8.8", "::1", "localhost"])(
  "rpcs may be served on %s without settings",
  (host) => {
    expect(serve({ HEADGATE_HOST: host })).toEqual({ tls: undefined, verifier: undefined });
  },
);

test("several keys are read, each for its service", () => {
  const other = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" });
  const keys = `gateway:${PUBLIC}, outgoing-dispatcher:${encode(other)}`;
  expect(serve({ HEADGATE_RPC_VERIFY_KEYS: keys }).verifier).toBeTypeOf("function");
});

test("a key that cannot be used is refused without being shown", () => {
  const faulty = [
    PUBLIC,
    `Gateway:${PUBLIC}`,
    `gateway:${PRIVATE}`,
    `gateway:${encode(ec.publicKey.export({ format: "der", type: "spki" }))}`,
    `gateway:${PUBLIC},chat:${PUBLIC}`,
    "gateway:c2VjcmV0",
  ];
  for (const value of faulty) {
    const [fault = ""] = faultsOf(() => serve({ HEADGATE_RPC_VERIFY_KEYS: value }));
    expect(fault).toMatch(/^HEADGATE_RPC_VERIFY_KEYS must /);
    expect(fault).not.toContain(value.slice(8));
  }
  for (const value of [
    PUBLIC,
    "c2VjcmV0",
    encode(ec.privateKey.export({ format: "der", type: "pkcs8" })),
  ]) {
    expect(faultsOf(() => call({ HEADGATE_RPC_SIGNING_KEY: value }))).toEqual([
      "HEADGATE_RPC_SIGNING_KEY must hold a private Ed25519 key (PKCS #8 DER in base64)",
    ]);
  }
  expect(call({ HEADGATE_RPC_SIGNING_KEY: PRIVATE }).signer).toBeTypeOf("function");
});

test("certificate, key and authority are set together, and must be readable and of use", () => {
  const own = import.meta.filename;
  expect(faultsOf(() => serve({ HEADGATE_RPC_TLS_CERT: own }))).toEqual([
    "HEADGATE_RPC_TLS_CERT, _KEY and _CA must be set together",
  ]);
  const all = (path: string) => ({
    HEADGATE_RPC_TLS_CERT: path,
    HEADGATE_RPC_TLS_KEY: path,
    HEADGATE_RPC_TLS_CA: path,
  });
  expect(faultsOf(() => serve(all(own)))[0]).toContain("cannot be used");
  expect(faultsOf(() => call(all(own)))[0]).toContain("cannot be used");
  expect(faultsOf(() => serve(all("/nonexistent/file")))).toEqual(
    ["CERT", "KEY", "CA"].map(
      (name) => `HEADGATE_RPC_TLS_${name} names a file that cannot be read (ENOENT)`,
    ),
  );
});
