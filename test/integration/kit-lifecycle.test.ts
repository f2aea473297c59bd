import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../support/eventually.ts";

const SERVICE = join(import.meta.dirname, "../support/lifecycle-service.ts");

/** Starts the trial service as a process of its own. */
function start(what: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [SERVICE, what], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  const closed = once(child, "close");
  return {
    child,
    ready: () => eventually(() => out.includes('"ready"')),
    async end() {
      const [code] = await closed;
      const lines = out.trim() === "" ? [] : out.trim().split("\n");
      return { code, err, lines: lines.map((line) => JSON.parse(line)) };
    },
  };
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "ends with 0 after %s, all lines written",
  async (name) => {
    const service = start("wait");
    await service.ready();
    service.child.kill(name);
    const { code, lines } = await service.end();
    expect(code).toBe(0);
    expect(lines.map((line) => line.msg)).toEqual([
      "ready",
      "service.stopping",
      `stopped by ${name}`,
      "service.stopped",
    ]);
  },
);

test("names all faulty settings on stderr and ends with 78", async () => {
  const service = start("wait", { HEADGATE_OPS_PORT: "x", HEADGATE_TYPO: "1" });
  const { code, err, lines } = await service.end();
  expect(code).toBe(78);
  expect(err).toContain("HEADGATE_OPS_PORT");
  expect(err).toContain("HEADGATE_TYPO");
  expect(lines).toEqual([]);
});

test.each([
  ["throw", "service.failed", "main failed"],
  ["reject", "process.failed", "nobody waits"],
  ["crash", "process.failed", "from nowhere"],
])("logs why and ends with 1: %s", async (what, msg, message) => {
  const { code, lines } = await start(what).end();
  expect(code).toBe(1);
  expect(lines).toContainEqual(
    expect.objectContaining({ msg, error: expect.objectContaining({ message }) }),
  );
});

test("ends with 1 when it has not finished at the drain timeout", async () => {
  const service = start("hang", { HEADGATE_DRAIN_TIMEOUT_MS: "200" });
  await service.ready();
  service.child.kill("SIGTERM");
  const { code, lines } = await service.end();
  expect(code).toBe(1);
  expect(lines.at(-1)).toMatchObject({ msg: "service.drain_timeout" });
});
