/** Files of the data folder. */
import { readFile, rename, writeFile } from "node:fs/promises";

/** The text of a file; undefined when there is none. @throws the error of the system when it is there and cannot be read */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}

/** Writes a value as JSON that only its owner may read. An interrupted write leaves the file as it was. */
export async function writeSecretJson(file: string, value: object): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** The code of an error of the system ("EACCES"); undefined for anything else that was thrown. */
export function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
