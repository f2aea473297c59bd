/**
 * Three projects, one after the other: unit (no network), integration (real parts), e2e (the whole system, one file at a
 * time). The timeouts end what hangs; a machine that is five times slower than usual must not meet them.
 */
import { join } from "node:path";
import { defineConfig } from "vitest/config";

const root = join(import.meta.dirname, "..");

export default defineConfig({
  root,
  test: {
    watch: false,
    teardownTimeout: 60_000, // the parts are stopped in it
    projects: [
      {
        root,
        test: {
          name: "unit",
          include: [
            "{services,proto,deploy}/**/*.test.ts",
            "test/{load,fuzz,support,check,conformance}/**/*.test.ts",
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        root,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/support/global-setup.ts"],
          testTimeout: 90_000,
          hookTimeout: 90_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        root,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
