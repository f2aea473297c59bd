import { createPrivateKey } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LocalFault } from "./fault.ts";
import { readSecrets } from "./secrets.ts";

async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-secrets-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("secrets are made once, in a file for its owner alone", async () => {
  const folder = await openFolder();
  const made = await readSecrets(folder);
  expect(await readSecrets(folder)).toEqual(made);
  expect(await readdir(folder)).toEqual(["secrets.json"]);
  expect((await stat(join(folder, "secrets.json"))).mode & 0o777).toBe(0o600);
  const key = Buffer.from(made.rpcSigningKey, "base64");
  const { asymmetricKeyType } = createPrivateKey({ key, format: "der", type: "pkcs8" });
  expect(asymmetricKeyType).toBe("ed25519");
});

test("a file from before there was a signing key keeps what it has and gets one", async () => {
  const folder = await openFolder();
  const file = join(folder, "secrets.json");
  const { rpcSigningKey: _, ...before } = await readSecrets(folder);
  await writeFile(file, JSON.stringify(before));
  const after = await readSecrets(folder);
  expect(after).toEqual({ ...before, rpcSigningKey: after.rpcSigningKey });
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(after);
  expect(await readSecrets(folder)).toEqual(after);
});

test.each(["{", "[]", "null", '{"adminName":"admin"}'])(
  "a file that holds %s is damaged, and stays as it is",
  async (text) => {
    const folder = await openFolder();
    const file = join(folder, "secrets.json");
    await writeFile(file, text);
    await expect(readSecrets(folder)).rejects.toBeInstanceOf(LocalFault);
    expect(await readFile(file, "utf8")).toBe(text);
  },
);
