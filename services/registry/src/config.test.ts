import { ConfigError } from "@headgate/kit/env";
import { expect, test } from "vitest";
import { readConfig } from "./config.ts";
import { createToken } from "./credential.ts";

const GOOD = {
  HEADGATE_HOST: "127.0.0.1",
  DATABASE_URL: "postgres://localhost/headgate",
  KAFKA_BROKERS: "127.0.0.1:9092",
  HEADGATE_SECRET_KEY: Buffer.alloc(32, 1).toString("base64"),
};

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.faults;
  }
  return [];
}

test("what must be set is named at once, and no value is shown", () => {
  expect(faultsOf({ HEADGATE_SECRET_KEY: "c2hvcnQ=" })).toEqual([
    "DATABASE_URL is not set",
    "KAFKA_BROKERS is not set",
    "HEADGATE_SECRET_KEY must be 32 bytes in base64 or hex",
  ]);
});

test("the first admin has a name and a way in, or is not made", () => {
  expect(readConfig(GOOD).firstAdmin).toBeUndefined();
  const token = createToken();
  const env = { ...GOOD, HEADGATE_ADMIN_NAME: "admin", HEADGATE_ADMIN_TOKEN: token };
  expect(readConfig(env).firstAdmin).toMatchObject({ name: "admin", password: undefined, token });
  expect(faultsOf({ ...GOOD, HEADGATE_ADMIN_NAME: "No" })).toHaveLength(2);
  expect(faultsOf({ ...GOOD, HEADGATE_ADMIN_TOKEN: "hg_x" })).toEqual([
    "HEADGATE_ADMIN_TOKEN needs HEADGATE_ADMIN_NAME",
    "HEADGATE_ADMIN_TOKEN must be hg_ and 43 characters of base64url",
  ]);
});

test("an admin is recovered only with a password and a token of its own", () => {
  const env = {
    ...GOOD,
    HEADGATE_ADMIN_NAME: "admin",
    HEADGATE_ADMIN_PASSWORD: "a new password",
    HEADGATE_ADMIN_TOKEN: createToken(),
    HEADGATE_ADMIN_RECOVER: "true",
  };
  expect(readConfig(env).firstAdmin?.isRecovered).toBe(true);
  expect(faultsOf({ ...env, HEADGATE_ADMIN_TOKEN: "" })).toEqual([
    expect.stringContaining("HEADGATE_ADMIN_RECOVER needs"),
  ]);
});
