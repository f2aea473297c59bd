/** Fetches the published jars that the parts run from: once, checked, shared by everything in this checkout. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalFault } from "../fault.ts";
import { findProgram, runProgram } from "../programs.ts";
import type { PartPlace } from "./part.ts";

const POM = join(import.meta.dirname, "..", "pom.xml");
const PARTS_FOLDER = join(import.meta.dirname, "..", "..", "..", ".cache", "parts");
const FETCH_TIMEOUT_MS = 15 * 60_000;
const NEWS_EVERY_MS = 5_000;

/** What was fetched: each file and its size in bytes. Written last, so that a broken download has none. */
type Manifest = Readonly<Record<string, number>>;

/**
 * The folder with the jars of a profile of pom.xml; fetched when it is not there, not whole, or of an older pom.xml.
 * @param word what people call it, and the setting that makes it needless: "Kafka", "KAFKA_BROKERS"
 * @throws LocalFault where Maven is missing or cannot fetch
 */
export async function fetchJars(
  profile: string,
  word: { name: string; setting: string },
  { report, signal }: Pick<PartPlace, "report" | "signal">,
): Promise<string> {
  const version = createHash("sha256")
    .update(await readFile(POM))
    .digest("hex")
    .slice(0, 12);
  const folder = join(PARTS_FOLDER, `${profile}-${version}`);
  if (await isWhole(folder)) return folder;
  const maven = findProgram("mvn");
  if (!maven) {
    throw new LocalFault(
      `Maven is missing: install it (Debian: apt-get install maven), or set ${word.setting} to a ${word.name} that runs elsewhere`,
    );
  }
  const fresh = `${folder}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  const startedAt = performance.now();
  report(`fetching ${word.name} by Maven (only the first time)`);
  const news = setInterval(() => {
    report(`still fetching ${word.name}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }, NEWS_EVERY_MS);
  try {
    await runProgram(
      maven,
      [
        "-q",
        "-B",
        "-f",
        POM,
        `-P${profile}`,
        "dependency:copy-dependencies",
        `-DoutputDirectory=${fresh}`,
      ],
      { timeoutMs: FETCH_TIMEOUT_MS, signal },
    );
    await writeFile(join(fresh, "manifest.json"), JSON.stringify(await measure(fresh)));
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } catch (cause) {
    signal?.throwIfAborted();
    if (await isWhole(folder)) return folder; // another run was faster
    throw new LocalFault(
      `Maven could not fetch ${word.name}: ${firstLine(cause)}; or set ${word.setting} to one that runs elsewhere`,
      { cause },
    );
  } finally {
    clearInterval(news);
    await rm(fresh, { recursive: true, force: true });
  }
  return folder;
}

async function measure(folder: string): Promise<Manifest> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".jar"));
  if (names.length === 0) throw new Error("it fetched nothing");
  return Object.fromEntries(
    await Promise.all(
      names.map(async (name) => [name, (await stat(join(folder, name))).size] as const),
    ),
  );
}

async function isWhole(folder: string): Promise<boolean> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as Manifest;
    const sizes = await measure(folder);
    return Object.entries(manifest).every(([name, size]) => sizes[name] === size);
  } catch {
    return false;
  }
}

/** The line of Maven's output that says what is wrong. */
function firstLine(cause: unknown): string {
  const lines = String(cause instanceof Error ? cause.message : cause).split("\n");
  return (lines.find((line) => line.includes("[ERROR]")) ?? lines[0] ?? "").trim().slice(0, 300);
}
