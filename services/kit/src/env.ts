/**
 * Reads settings from the environment: every fault at once, nothing silently ignored.
 * Each service's config.ts lists its fields; an unknown `HEADGATE_*` name is a fault, so that a typo cannot hide.
 */

import { readFileSync, statSync } from "node:fs";

/** Bytes of a file that a setting names, at most. Certificates and their chains have some KiB. */
const FILE_BYTES_MAX = 1024 * 1024;

/** A field's reader: gets the raw text (never blank) and returns the value, or throws an Error whose message says what is wrong. */
type Reader<T> = (raw: string) => T;

/** A declared setting. Without a default it is required. */
export type Field<T> = {
  readonly read: Reader<T>;
  readonly fallback?: T;
  readonly required: boolean;
};

/** Exit code of a process whose settings are faulty (EX_CONFIG of sysexits.h). */
export const EXIT_CONFIG = 78;

/** All faults of an environment, one line each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`settings are faulty:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    this.faults = faults;
  }
}

/** Names that nothing else uses: one that is not declared is a typo. */
const OWN_PREFIXES = ["HEADGATE_", "KAFKA_TLS_", "KAFKA_SASL_"];

/** A text of 1 to 4,096 characters. */
export function text(fallback?: string): Field<string> {
  return field((raw) => {
    if (raw.length > 4096) throw new Error("must have at most 4096 characters");
    return raw;
  }, fallback);
}

/** A whole number within bounds. */
export function integer(bounds: { min: number; max: number; fallback?: number }): Field<number> {
  return field((raw) => {
    const value = Number(raw);
    if (!/^-?\d+$/.test(raw) || value < bounds.min || value > bounds.max) {
      throw new Error(`must be a whole number from ${bounds.min} to ${bounds.max}`);
    }
    return value;
  }, bounds.fallback);
}

/** One of a few words. */
export function oneOf<const T extends string>(words: readonly T[], fallback?: T): Field<T> {
  return field((raw) => {
    const word = words.find((candidate) => candidate === raw);
    if (word === undefined) throw new Error(`must be one of ${words.join(", ")}`);
    return word;
  }, fallback);
}

/** `true` or `false`. */
export function flag(fallback: boolean): Field<boolean> {
  return field((raw) => {
    if (raw !== "true" && raw !== "false") throw new Error("must be true or false");
    return raw === "true";
  }, fallback);
}

/** An absolute URL with one of the given protocols (`"http:"`). */
export function url(protocols: readonly string[], fallback?: string): Field<string> {
  return field((raw) => {
    const parsed = URL.canParse(raw) ? new URL(raw) : undefined;
    if (!parsed || !protocols.includes(parsed.protocol)) {
      throw new Error(
        `must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`,
      );
    }
    return raw;
  }, fallback);
}

/** Addresses `host:port`, comma-separated, at least one. */
export function addresses(fallback?: readonly string[]): Field<readonly string[]> {
  return field((raw) => {
    const list = raw.split(",").map((part) => part.trim());
    if (!list.every((part) => /^[^\s:/]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(part))) {
      throw new Error("must be host:port, or several with commas between");
    }
    return list;
  }, fallback);
}

/** Exactly `count` bytes in base64 or hex. */
export function bytes(count: number): Field<Uint8Array> {
  return field((raw) => {
    const value = Buffer.from(raw, raw.length === count * 2 ? "hex" : "base64");
    if (value.length !== count) throw new Error(`must be ${count} bytes in base64 or hex`);
    return value;
  });
}

/** The contents of a file, given by its path; 1 MiB at most. Read once: a changed file counts from the next start. */
export function file(): Field<Buffer> {
  return field((path) => {
    try {
      if (statSync(path).size <= FILE_BYTES_MAX) return readFileSync(path);
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException; // thrown by node:fs
      throw new Error(`names a file that cannot be read (${code})`);
    }
    throw new Error(`names a file of more than ${FILE_BYTES_MAX} bytes`);
  });
}

/** A field that may be absent: undefined then. */
export function optional<T>(inner: Field<T>): Field<T | undefined> {
  return { read: inner.read, required: false };
}

/**
 * Reads the declared fields. A blank value counts as absent.
 * @throws ConfigError with all faults: missing, malformed, and every name that is not declared and begins with `HEADGATE_`,
 * or like a declared field with `KAFKA_TLS_` or `KAFKA_SASL_`
 */
export function readEnv<T extends Record<string, unknown>>(
  env: Readonly<Record<string, string | undefined>>,
  fields: { readonly [Name in keyof T]: Field<T[Name]> },
): Readonly<T> {
  const faults: string[] = [];
  const values: Partial<T> = {};
  for (const name of Object.keys(fields) as (keyof T & string)[]) {
    const { read, fallback, required } = fields[name];
    const raw = env[name]?.trim();
    if (!raw) {
      if (required) faults.push(`${name} is not set`);
      else values[name] = fallback as T[typeof name];
      continue;
    }
    try {
      values[name] = read(raw);
    } catch (thrown) {
      faults.push(`${name} ${(thrown as Error).message}`); // never the value: it may be a secret
    }
  }
  const prefixes = OWN_PREFIXES.filter(
    (prefix) =>
      prefix === "HEADGATE_" || Object.keys(fields).some((name) => name.startsWith(prefix)),
  );
  for (const name of Object.keys(env)) {
    const isOurs = prefixes.some((prefix) => name.startsWith(prefix));
    if (isOurs && !(name in fields)) faults.push(`${name} is not a setting`);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(values as T);
}

function field<T>(read: Reader<T>, fallback?: T): Field<T> {
  return fallback === undefined ? { read, required: true } : { read, fallback, required: false };
}
