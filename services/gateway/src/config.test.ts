import { ConfigError } from "@headgate/kit/env";
import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

const needed = {
  KAFKA_BROKERS: "127.0.0.1:9092",
  HEADGATE_REGISTRY_ADDRESS: "127.0.0.1:9091",
  HEADGATE_CHAT_ADDRESS: "127.0.0.1:9093",
  HEADGATE_RATE_LIMITER_ADDRESS: "127.0.0.1:9094",
};

test("what is not set has its default", () => {
  expect(readConfig(needed)).toMatchObject({
    port: 8065,
    publicUrl: "http://127.0.0.1:8065",
    registryAddress: "127.0.0.1:9091",
    mattermost: { incomingWebhooks: true, usernameOverride: true, iconOverride: true },
  });
});

test("the public address loses its last slash", () => {
  const config = readConfig({ ...needed, HEADGATE_PUBLIC_URL: "https://hooks.example.org/" });
  expect(config.publicUrl).toBe("https://hooks.example.org");
});

test("all faults are told at once", () => {
  const faulty = { HEADGATE_PORT: "x", HEADGATE_TRUSTED_PROXIES: "all", HEADGATE_TYPO: "1" };
  expect(() => readConfig(faulty)).toThrow(ConfigError);
  try {
    readConfig(faulty);
  } catch (thrown) {
    expect((thrown as ConfigError).faults).toHaveLength(7);
  }
});
