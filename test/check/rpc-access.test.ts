/** Every service that serves rpcs knows its callers, under its own name, or stays on the loopback. */
import { globSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "@headgate/kit/env";
import { expect, test } from "vitest";
import { createIssuer } from "../support/identity.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const services = globSync("services/*/src/grpc.ts", { cwd: ROOT })
  .map((file) => file.split("/")[1] ?? "")
  .filter((name) => name !== "kit");
const ENV = {
  DATABASE_URL: "postgres://localhost/headgate",
  KAFKA_BROKERS: "127.0.0.1:9092",
  REDIS_URL: "redis://localhost",
};
/** What single services need besides. */
const MORE: Record<string, Record<string, string>> = {
  registry: { HEADGATE_SECRET_KEY: Buffer.alloc(32, 1).toString("base64") },
};

type ReadConfig = (env: Record<string, string>) => {
  access: { verifier?: (statement: string) => unknown };
};

test("there are services with rpcs", () => {
  expect(services).toEqual(expect.arrayContaining(["chat", "rate-limiter", "registry"]));
});

test.each(services)(
  "%s does not start beyond the loopback without keys or certificates",
  async (name) => {
    const env = { ...ENV, ...MORE[name], HEADGATE_HOST: "0.0.0.0" };
    const readConfig = await readerOf(name);
    let faults: readonly string[] = [];
    try {
      readConfig(env);
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown;
      faults = thrown.faults;
    }
    expect(faults).toEqual([expect.stringContaining("HEADGATE_RPC_VERIFY_KEYS")]);
  },
);

test.each(services)("%s takes statements that are made for it", async (name) => {
  const gateway = createIssuer();
  const env = { ...ENV, ...MORE[name], HEADGATE_RPC_VERIFY_KEYS: gateway.verifySetting };
  const { access } = (await readerOf(name))(env);
  const statement = await gateway.access.signer(name, undefined);
  expect(await access.verifier?.(statement)).toMatchObject({ subject: "service:gateway" });
});

async function readerOf(name: string): Promise<ReadConfig> {
  const module = await import(join(ROOT, "services", name, "src/config.ts"));
  return module.readConfig;
}
