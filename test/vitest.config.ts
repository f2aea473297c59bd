/** Three projects, one after the other: unit (no network), integration (real parts), e2e (the whole system, one file at a time). */
import { join } from "node:path";
import { defineConfig } from "vitest/config";

const root = join(import.meta.dirname, "..");

export default defineConfig({
  root,
  test: {
    watch: false,
    projects: [
      {
        root,
        test: {
          name: "unit",
          include: [
            "{services,proto,deploy}/**/*.test.ts",
            "test/{load,fuzz,support,check,conformance}/**/*.test.ts",
          ],
          sequence: { groupOrder: 0 },
        },
      },
      {
        root,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/support/global-setup.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        root,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
