/** The whole system for the tests of one file: started when first asked for, stopped behind the file's last test. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Demo } from "@headgate/local/demo";
import {
  type System as RunningSystem,
  type SystemOptions,
  startSystem,
} from "@headgate/local/system";
import { afterAll } from "vitest";

/** What the system tells of itself: its address, its administrator, its demo team. */
export type System = Demo;

/** What a test may set besides the environment. */
type Options = Pick<SystemOptions, "logLevel" | "serviceEnv">;

let started: Promise<RunningSystem> | undefined;
const scope = new AsyncDisposableStack();
afterAll(() => scope.disposeAsync()); // of the file that imports this

/** The system of this test file, with throwaway data and ports of its own. Meant for `beforeAll`: starting takes seconds. */
export async function useSystem(): Promise<System> {
  return (await useRunningSystem()).demo;
}

/**
 * The same system with its processes, for tests that kill them or read what they wrote.
 * @param env OTEL_* for the services; read, as all options, of the first caller in a file only
 */
export function useRunningSystem(
  env: NodeJS.ProcessEnv = {},
  options: Options = {},
): Promise<RunningSystem> {
  started ??= start(env, options);
  return started;
}

async function start(env: NodeJS.ProcessEnv, options: Options): Promise<RunningSystem> {
  const dataDir = await mkdtemp(join(tmpdir(), "headgate-e2e-"));
  scope.defer(() => rm(dataDir, { recursive: true, force: true }));
  const { PATH, HOME } = process.env;
  const system = await startSystem({
    dataDir,
    port: 0,
    throwaway: true,
    env: { PATH, HOME, ...env },
    ...options,
  });
  return scope.use(system);
}
