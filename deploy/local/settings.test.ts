import { readFileSync } from "node:fs";
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

test("hands the gateway its settings as they were given, and only those", () => {
  const settings = readSettings({
    HEADGATE_MATTERMOST_ICON_OVERRIDE: "false",
    HEADGATE_PUBLIC_URL: "https://alerts.example/",
  });
  expect(settings.gatewayEnv).toEqual({ HEADGATE_MATTERMOST_ICON_OVERRIDE: "false" });
  expect(settings.publicUrl).toBe("https://alerts.example");
  expect(settings.port).toBe(8065);
});

test.each(["README.md", "deploy/local/usage.txt"])("%s names every setting", (file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  const names = [...SETTING_NAMES, "OTEL_*"];
  expect(names.filter((name) => !text.includes(name))).toEqual([]);
});
