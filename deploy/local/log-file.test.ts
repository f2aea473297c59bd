import { appendFile, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readLastLine, rotateLog } from "./log-file.ts";

async function makeLog(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-log-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await appendFile(join(folder, "it.log"), text);
  return join(folder, "it.log");
}

test("a log that has grown too long is kept once beside itself and begins anew", async () => {
  const file = await makeLog("0123456789\n");
  await rotateLog(file, 100);
  expect((await stat(file)).size).toBe(11);
  await rotateLog(file, 10);
  expect((await stat(file)).size).toBe(0);
  expect(await readFile(`${file}.1`, "utf8")).toBe("0123456789\n");
});

test("the last line is the last that says something, however long the log", async () => {
  const file = await makeLog(`${"x\n".repeat(10_000)}the end\n    at x.ts:1\n\nNode.js v24.0.0\n`);
  expect(await readLastLine(file)).toBe("the end");
  expect(await readLastLine(`${file}.gone`)).toBe("(none)");
});
