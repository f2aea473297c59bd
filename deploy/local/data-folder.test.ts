import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openDataFolder } from "./data-folder.ts";
import { LocalFault } from "./fault.ts";

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-data-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("a data folder is made with all that is missing above it, for its owner alone, and is empty", async () => {
  const folder = join(await makeFolder(), "a", "b");
  await openDataFolder(folder);
  await openDataFolder(folder);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect(await readdir(folder)).toEqual([]);
});

test("a file in the place of the folder, or above it, is named", async () => {
  const file = join(await makeFolder(), "file");
  await writeFile(file, "");
  await expect(openDataFolder(file)).rejects.toThrow(LocalFault);
  await expect(openDataFolder(file)).rejects.toThrow(`${file} cannot be the data folder`);
  await expect(openDataFolder(join(file, "x"))).rejects.toThrow("a part of the path is a file");
});

test.runIf(process.platform === "linux").each(["/proc/x", "/proc/x/y", "/proc"])(
  "%s, where nothing can be made, is refused at once",
  async (folder) => {
    await expect(openDataFolder(folder)).rejects.toThrow(`${folder} cannot be the data folder`);
  },
);
