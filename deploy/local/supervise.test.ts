import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { LocalFault } from "./fault.ts";
import { readStartedAt } from "./process-table.ts";
import { type ProcessSpec, supervise } from "./supervise.ts";

async function prepare(script: string, parts: Partial<ProcessSpec> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "headgate-supervise-"));
  const lines: string[] = [];
  const logFile = join(folder, "it.log");
  const spec: ProcessSpec = {
    name: "it",
    command: process.execPath,
    args: ["-e", script],
    env: {},
    cwd: folder,
    logFile,
    marker: script,
    stopSignal: "SIGTERM",
    stopTimeoutMs: 30_000,
    isReady: async () => (await readFile(logFile, "utf8").catch(() => "")).includes("up"),
    readyTimeoutMs: 30_000,
    ...parts,
  };
  const report = (line: string) => void lines.push(line);
  const supervised = supervise(spec, { runFolder: folder, report });
  onTestFinished(async () => {
    await supervised.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return { supervised, lines };
}

const IDLE = "console.log('up'); setInterval(() => {}, 1000)";

test("a process that dies is started again, and said so", async () => {
  const { supervised, lines } = await prepare(IDLE);
  await supervised.start();
  const first = supervised.pid;
  supervised.kill("SIGKILL");
  await vi.waitFor(() => expect(lines).toContain("it is back"), { timeout: 30_000 });
  expect(supervised.pid).not.toBe(first);
  expect(supervised.restarts).toBe(1);
  expect(lines[0]).toMatch(/^it died \(by SIGKILL\): starting it again in \d\.\d s$/);
});

test("a process that was stopped stays so until it is started", async () => {
  const { supervised, lines } = await prepare(IDLE);
  await supervised.start();
  const pid = supervised.pid ?? 0;
  await supervised.stop();
  expect(supervised.pid).toBeUndefined();
  expect(await readStartedAt(pid)).toBeUndefined();
  expect(lines).toEqual([]);
  await supervised.start();
  expect(supervised.pid).toBeGreaterThan(0);
});

test("a process that does not stop in time is killed", async () => {
  const deaf = `process.on("SIGTERM", () => {}); ${IDLE}`;
  const { supervised, lines } = await prepare(deaf, { stopTimeoutMs: 300 });
  await supervised.start();
  await supervised.stop();
  expect(supervised.pid).toBeUndefined();
  expect(lines).toEqual(["it did not stop within 0.3 s: killed"]);
});

test("a process that ends while it starts fails the start with the end of its log", async () => {
  const { supervised } = await prepare("console.log('no such setting'); process.exit(78)");
  const failure = await supervised.start().catch((thrown: unknown) => thrown);
  expect(failure).toBeInstanceOf(LocalFault);
  expect(String(failure)).toMatch(/it ended \(exit code 78\).*no such setting/);
});
