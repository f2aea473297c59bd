/** The secrets of a local system: made once, kept in a file that only its owner may read. */
import { randomBytes } from "node:crypto";
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
};

/** Reads the secrets of a data folder, or makes them. @throws LocalFault when the file is there but damaged */
export async function readSecrets(dataDir: string): Promise<Secrets> {
  const file = join(dataDir, "secrets.json");
  const text = await readIfThere(file);
  if (text !== undefined) return parse(text, file);
  const secrets: Secrets = {
    adminName: "admin",
    ...makeAdmin(),
    secretKey: randomBytes(32).toString("base64"),
    personPassword: randomBytes(12).toString("base64url"),
  };
  await writeSecrets(dataDir, secrets);
  return secrets;
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

function parse(text: string, file: string): Secrets {
  const names = [
    "adminName",
    "adminPassword",
    "adminToken",
    "secretKey",
    "personPassword",
  ] as const;
  try {
    const parsed = JSON.parse(text);
    if (names.every((name) => typeof parsed[name] === "string")) return parsed;
  } catch {
    // damaged: said below
  }
  throw new LocalFault(
    `${file} is damaged: put it back, or remove the folder around it to begin anew`,
  );
}
