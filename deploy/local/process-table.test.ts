import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readStartedAt, recordProcess, sweepProcesses } from "./process-table.ts";

/** A process that does nothing until it is stopped. */
async function startIdle(): Promise<{ pid: number; ended: Promise<unknown> }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000); console.log('up')"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  return { pid: child.pid ?? 0, ended };
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-run-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("stops what an earlier run left, and forgets it", async () => {
  const folder = await makeFolder();
  const { pid, ended } = await startIdle();
  const startedAt = (await readStartedAt(pid)) ?? 0;
  const record = { name: "idle", pid, startedAt, marker: "setInterval" };
  await recordProcess(folder, { ...record, stopSignal: "SIGTERM" });
  expect(await sweepProcesses(folder)).toEqual(["idle"]);
  await ended;
  expect(await readdir(folder)).toEqual([]);
});

test.each([
  ["began at another time", { startedAt: 1 }],
  ["has another command line", { marker: "kafka.Kafka" }],
])("leaves a process alone that has the id but %s", async (_what, other) => {
  const folder = await makeFolder();
  const { pid } = await startIdle();
  const startedAt = (await readStartedAt(pid)) ?? 0;
  const record = { name: "idle", pid, startedAt, marker: "setInterval", ...other };
  await recordProcess(folder, { ...record, stopSignal: "SIGKILL" });
  expect(await sweepProcesses(folder)).toEqual([]);
  expect(await readStartedAt(pid)).toBe(startedAt);
  expect(await readdir(folder)).toEqual([]);
});
