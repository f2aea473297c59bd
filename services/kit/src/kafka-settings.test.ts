import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ConfigError, readEnv } from "./env.ts";
import { kafkaFields, readKafkaAccess } from "./kafka-settings.ts";

const brokers = { KAFKA_BROKERS: "a:9092,b:9092" };

function read(env: Record<string, string>) {
  return readKafkaAccess(readEnv({ ...brokers, ...env }, kafkaFields));
}

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    read(env);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.faults;
    throw thrown;
  }
  return [];
}

async function fileOf(content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-settings-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "file"), content);
  return join(folder, "file");
}

test("brokers alone mean neither TLS nor SASL", () => {
  expect(read({})).toEqual({ brokers: ["a:9092", "b:9092"] });
});

test("certificates, keys and passwords are read from their files", async () => {
  const file = await fileOf("content\n");
  expect(
    read({
      KAFKA_TLS_ENABLED: "true",
      KAFKA_TLS_CA_FILE: file,
      KAFKA_TLS_CERT_FILE: file,
      KAFKA_TLS_KEY_FILE: file,
      KAFKA_TLS_SERVERNAME: "kafka.example",
      KAFKA_SASL_MECHANISM: "scram-sha-512",
      KAFKA_SASL_USERNAME: "headgate",
      KAFKA_SASL_PASSWORD_FILE: file,
    }),
  ).toEqual({
    brokers: ["a:9092", "b:9092"],
    tls: { ca: "content\n", cert: "content\n", key: "content\n", servername: "kafka.example" },
    sasl: { mechanism: "scram-sha-512", username: "headgate", password: "content" },
  });
});

test("what is missing, has no use or cannot be read is named, all at once and never with its value", () => {
  const faults = faultsOf({
    KAFKA_TLS_ENABLED: "true",
    KAFKA_TLS_CA_FILE: "/nowhere/ca.pem",
    KAFKA_TLS_CERT_FILE: "/nowhere/cert.pem",
    KAFKA_SASL_USERNAME: "headgate",
    KAFKA_SASL_PASSWORD: "not to be shown",
  });
  expect(faults).toEqual([
    "KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE need each other",
    "KAFKA_TLS_CA_FILE cannot be read: ENOENT",
    "KAFKA_TLS_CERT_FILE cannot be read: ENOENT",
    "KAFKA_SASL_USERNAME needs KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_PASSWORD needs KAFKA_SASL_MECHANISM",
  ]);
});

test("certificates without TLS are refused: connections would not be encrypted", () => {
  expect(faultsOf({ KAFKA_TLS_CA_FILE: "/ca.pem" })).toEqual([
    "KAFKA_TLS_CA_FILE needs KAFKA_TLS_ENABLED=true",
  ]);
});

test("a mechanism needs a user and one password", () => {
  expect(faultsOf({ KAFKA_SASL_MECHANISM: "plain" })).toEqual([
    "KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME",
    "KAFKA_SASL_MECHANISM needs one of KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE",
  ]);
});

test("a misspelt name is refused", () => {
  expect(faultsOf({ KAFKA_TLS_ENABLE: "true", KAFKA_SASL_USER: "x" })).toEqual([
    "KAFKA_TLS_ENABLE is not a setting",
    "KAFKA_SASL_USER is not a setting",
  ]);
});
