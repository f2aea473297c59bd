import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { claimPorts } from "./ports.ts";

async function makeFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-ports-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "ports.json");
}

test("the second run gets the ports of the first, and new names get others", async () => {
  const file = await makeFile();
  const first = await claimPorts(file, ["kafka", "redis"]);
  const second = await claimPorts(file, ["kafka", "redis", "chat"]);
  expect(second).toMatchObject(first);
  expect(new Set(Object.values(second)).size).toBe(3);
});

test("a port that somebody else has taken is not claimed again", async () => {
  const file = await makeFile();
  const { kafka } = await claimPorts(file, ["kafka"]);
  const other = createServer().listen(kafka, "127.0.0.1");
  onTestFinished(() => void other.close());
  await new Promise((resolve) => other.once("listening", resolve));
  expect((await claimPorts(file, ["kafka"])).kafka).not.toBe(kafka);
});

test("a damaged file is as good as none", async () => {
  const file = await makeFile();
  await writeFile(file, '{"kafka": "x", "redis":');
  expect((await claimPorts(file, ["kafka"])).kafka).toBeGreaterThan(1024);
});
