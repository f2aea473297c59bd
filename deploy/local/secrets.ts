/** The secrets of a local system: made once, kept in a file that only its owner may read. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { join } from "node:path";
import { LocalFault } from "./fault.ts";
import { readIfThere, writeSecretJson } from "./files.ts";

/** What the first run makes up. */
export type Secrets = {
  readonly adminName: string;
  readonly adminPassword: string;
  /** A bearer token: "hg_" and 43 characters. */
  readonly adminToken: string;
  /** 32 bytes in base64: seals credentials that a dialect must show again. */
  readonly secretKey: string;
  readonly personPassword: string;
  /** Private Ed25519 key, PKCS #8 DER in base64: with it the gateway shows the other services who calls. */
  readonly rpcSigningKey: string;
};

/** The secrets that every file has. One that came later is made where a file does not have it yet. */
const FIRST_NAMES = [
  "adminName",
  "adminPassword",
  "adminToken",
  "secretKey",
  "personPassword",
] as const;
type FirstSecrets = Pick<Secrets, (typeof FIRST_NAMES)[number]> & Partial<Secrets>;

/** Reads the secrets of a data folder, or makes them. @throws LocalFault when the file is there but damaged */
export async function readSecrets(dataDir: string): Promise<Secrets> {
  const file = join(dataDir, "secrets.json");
  const text = await readIfThere(file);
  const known = text === undefined ? makeFirst() : parse(text, file);
  if (known.rpcSigningKey !== undefined) return { ...known, rpcSigningKey: known.rpcSigningKey };
  const secrets = { ...known, rpcSigningKey: makeSigningKey() };
  await writeSecrets(dataDir, secrets);
  return secrets;
}

function makeFirst(): FirstSecrets {
  return {
    adminName: "admin",
    ...makeAdmin(),
    secretKey: randomBytes(32).toString("base64"),
    personPassword: randomBytes(12).toString("base64url"),
  };
}

/** The same with a new password and a new token of the admin; nothing is written. */
export function renewAdmin(secrets: Secrets): Secrets {
  return { ...secrets, ...makeAdmin() };
}

function makeAdmin(): Pick<Secrets, "adminPassword" | "adminToken"> {
  return {
    adminPassword: randomBytes(12).toString("base64url"),
    adminToken: `hg_${randomBytes(32).toString("base64url")}`,
  };
}

/** Replaces the secrets of a data folder: all of them or none. */
export async function writeSecrets(dataDir: string, secrets: Secrets): Promise<void> {
  await writeSecretJson(join(dataDir, "secrets.json"), secrets);
}

function makeSigningKey(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  return privateKey.export({ format: "der", type: "pkcs8" }).toString("base64");
}

function parse(text: string, file: string): FirstSecrets {
  try {
    const parsed = JSON.parse(text);
    const isText = (name: keyof Secrets) => typeof parsed[name] === "string";
    const isLaterText = parsed.rpcSigningKey === undefined || isText("rpcSigningKey");
    if (FIRST_NAMES.every(isText) && isLaterText) return parsed;
  } catch {
    // damaged: said below
  }
  throw new LocalFault(
    `${file} is damaged: put it back, or remove the folder around it to begin anew`,
  );
}
