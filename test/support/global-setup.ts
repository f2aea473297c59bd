/** Opens the three parts once for a whole vitest run, and closes them behind it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openParts, type PartAddresses } from "@headgate/local/parts";
import type { TestProject } from "vitest/node";
import { hasContainerEngine, openContainerParts } from "./containers.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the parts of this run are. */
    parts: { kafkaBrokers: string[]; databaseUrl: string; redisUrl: string };
  }
}

type Opened = AsyncDisposable & PartAddresses;

/** What vitest calls before the first test of a project; the returned function is called after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const opened = await openForTests();
  project.provide("parts", {
    kafkaBrokers: [...opened.kafkaBrokers],
    databaseUrl: opened.databaseUrl,
    redisUrl: opened.redisUrl,
  });
  return async () => {
    await opened[Symbol.asyncDispose]();
  };
}

/** Those given by URL; else containers where an engine can bring them; else local processes with throwaway data. */
async function openForTests(): Promise<Opened> {
  const { KAFKA_BROKERS, DATABASE_URL, REDIS_URL } = process.env;
  const allGiven = Boolean(KAFKA_BROKERS && DATABASE_URL && REDIS_URL);
  const noneGiven = !KAFKA_BROKERS && !DATABASE_URL && !REDIS_URL;
  if (noneGiven && (await hasContainerEngine())) {
    try {
      return await openContainerParts();
    } catch (error) {
      report(
        `the container engine could not bring the parts (${String(error)}): local processes instead`,
      );
    }
  }
  const dataDir = await mkdtemp(join(tmpdir(), "headgate-test-"));
  await using scope = new AsyncDisposableStack();
  scope.defer(() => rm(dataDir, { recursive: true, force: true }));
  const quiet = allGiven ? () => {} : report;
  const parts = scope.use(
    await openParts({ dataDir, env: process.env, report: quiet, throwaway: true }),
  );
  const open = scope.move();
  return {
    kafkaBrokers: parts.kafkaBrokers,
    databaseUrl: parts.databaseUrl,
    redisUrl: parts.redisUrl,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function report(line: string): void {
  process.stdout.write(`[parts] ${line}\n`);
}
