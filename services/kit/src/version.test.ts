import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { VERSION } from "./version.ts";

test("is the one that the root package.json says", () => {
  const root = new URL("../../../package.json", import.meta.url);
  expect(JSON.parse(readFileSync(root, "utf8"))).toMatchObject({ version: VERSION });
});
