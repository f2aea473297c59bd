/** Keys of a made-up gateway, for tests that call a service as the gateway does, or as what must not get in. */
import { generateKeyPairSync } from "node:crypto";
import { createSigner, createVerifier } from "@headgate/kit/grpc";

/** One issuer of identity statements with its keys. */
export type Issuer = ReturnType<typeof createIssuer>;

/** An issuer with a new key. @param name the service that it speaks for */
export function createIssuer(name = "gateway") {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const verifyKey = { issuer: name, key: publicKey };
  const encode = (key: Buffer) => key.toString("base64");
  return {
    name,
    privateKey,
    verifyKey,
    /** HEADGATE_RPC_SIGNING_KEY of the issuer. */
    signingSetting: encode(privateKey.export({ format: "der", type: "pkcs8" })),
    /** HEADGATE_RPC_VERIFY_KEYS of the services that it calls. */
    verifySetting: `${name}:${encode(publicKey.export({ format: "der", type: "spki" }))}`,
    /** What clients of the issuer show. */
    access: { signer: createSigner({ issuer: name, key: privateKey }) },
    /** How a service of the name `audience` knows the issuer's calls. */
    accessOf: (audience: string) => ({
      verifier: createVerifier({ audience, keys: [verifyKey] }),
    }),
  };
}
