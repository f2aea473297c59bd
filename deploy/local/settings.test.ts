import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "@headgate/kit/env";
import { expect, test } from "vitest";
import { ROOT } from "./root.ts";
import { readSettings, SETTING_NAMES } from "./settings.ts";

test("says every fault at once, an unknown name among them", () => {
  const read = () => readSettings({ HEADGATE_PORT: "high", HEADGATE_PROT: "8065", OTHER: "x" });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(/HEADGATE_PORT must be[\s\S]*HEADGATE_PROT is not a setting/);
});

test("hands each service its own settings as they were given, and only those", () => {
  const settings = readSettings({
    HEADGATE_MATTERMOST_ICON_OVERRIDE: "false",
    HEADGATE_KEPT_BYTES: "1000000",
    HEADGATE_PUBLIC_URL: "https://alerts.example/",
  });
  expect(settings.serviceEnv).toEqual({
    gateway: { HEADGATE_MATTERMOST_ICON_OVERRIDE: "false" },
    "rate-limiter": { HEADGATE_KEPT_BYTES: "1000000" },
  });
  expect(settings.publicUrl).toBe("https://alerts.example");
  expect(settings.port).toBe(8065);
});

/** Settings of services that the start itself decides: ports, addresses, secrets, time limits. */
const DECIDED =
  /^HEADGATE_(GRPC_PORT|OPS_PORT|OPS_HOST|DRAIN_TIMEOUT_MS|[A-Z_]+_ADDRESS|SECRET_KEY|ADMIN_[A-Z]+|RPC_[A-Z_]+)$/;

test("every setting of a service can be given to npm start, or is decided by it", () => {
  const services = join(ROOT, "services");
  const files = readdirSync(services, { recursive: true, encoding: "utf8" })
    .filter((file) => /^[^/]+\/src\/(config|lifecycle)\.ts$/.test(file))
    .map((file) => readFileSync(join(services, file), "utf8"));
  const declared = files.flatMap((text) => [...text.matchAll(/^\s+(HEADGATE_\w+):/gm)]);
  const names = declared.map(([, name = ""]) => name).filter((name) => !DECIDED.test(name));
  expect(names.length).toBeGreaterThan(SETTING_NAMES.length / 2);
  expect(names.filter((name) => !SETTING_NAMES.includes(name))).toEqual([]);
});

test.each(["README.md", "deploy/local/usage.txt"])("%s names every setting", (file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  const names = [...SETTING_NAMES, "OTEL_*"];
  expect(names.filter((name) => !text.includes(name))).toEqual([]);
});
