import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lockFolder } from "./lock.ts";

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-lock-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Another process that has the lock until it is killed. */
async function startHolder(folder: string) {
  const code = `import(${JSON.stringify(join(import.meta.dirname, "lock.ts"))})
    .then(async ({ lockFolder }) => {
      globalThis.kept = await lockFolder(${JSON.stringify(folder)});
      setInterval(() => {}, 1000);
      console.log("locked");
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  return { child, ended };
}

test("a data folder that another process has is refused, naming the process", async () => {
  const folder = await makeFolder();
  const { child } = await startHolder(folder);
  await expect(lockFolder(folder)).rejects.toThrow(`in use by another run (process ${child.pid})`);
});

test("the lock of a process that was killed ends with it", async () => {
  const folder = await makeFolder();
  const { child, ended } = await startHolder(folder);
  child.kill("SIGKILL");
  await ended;
  await using lock = await lockFolder(folder);
  expect(lock).toBeDefined();
});

test("one process locks a folder once at a time", async () => {
  const folder = await makeFolder();
  {
    await using _ = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow("in use by another run");
  }
  await using again = await lockFolder(folder);
  expect(again).toBeDefined();
});

test("what an earlier version left does not lock", async () => {
  const folder = await makeFolder();
  await writeFile(join(folder, "lock.json"), '{"pid":1,"startedAt":0}');
  await using lock = await lockFolder(folder);
  expect(lock).toBeDefined();
});
