/** Closed-loop runs: as many events as the connections can get accepted. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buildPost, runLoad, type Shot } from "../client.ts";
import { createDurations } from "../stats.ts";
import type { BenchSystem } from "./system.ts";

/** What a run came to: events a second, and ms from request to answer. */
export type Rates = { perSecond: number; p50: number; p95: number; p99: number };

type Run = { readonly connections: number; readonly seconds: number };

/** Text that makes an event of some 450 bytes, as alerts are. */
const FILLER =
  "disk usage of /var/lib/postgresql is at 91 percent and grows by 2 percent an hour. ".repeat(4);
const BATCH = 50;
const POOL = 512;
/** Seconds of load before each measured run, floors alike, so that its own code is warm too. */
const OWN_WARM_UP_SECONDS = 3;

/** Loads the native hook, so that every part is warm before the first figure is taken; then waits for the lag to go. */
export async function warmUp(system: BenchSystem, run: Run): Promise<void> {
  await measure(system.port, run, poolOf(nativeShot(system.paths.headgate)), 1, 202);
  await system.drained();
}

/** Measures one way in; waits until all of it is readable, so that the next run starts from rest. */
export async function measureAccepted(
  system: BenchSystem,
  name: "native" | "mattermost" | "batch_50",
  run: Run,
): Promise<Rates> {
  const { headgate, mattermost } = system.paths;
  const ways = {
    native: { shots: poolOf(nativeShot(headgate)), events: 1, status: 202 },
    mattermost: { shots: poolOf(nativeShot(mattermost)), events: 1, status: 200 },
    batch_50: { shots: poolOf(batchShot(headgate)), events: BATCH, status: 207 },
  };
  const { shots, events, status } = ways[name];
  await measure(system.port, { ...run, seconds: OWN_WARM_UP_SECONDS }, shots, events, status);
  await system.drained();
  const rates = await measure(system.port, run, shots, events, status);
  await system.drained();
  return rates;
}

/** Measures a floor: a server of its own process that does next to nothing. */
export async function measureFloor(
  system: BenchSystem,
  floor: "http" | "publisher",
  run: Run,
): Promise<Rates> {
  const script = join(import.meta.dirname, "..", "floors", `${floor}.ts`);
  const child = spawn(process.execPath, ["--disable-warning=TimeoutNegativeWarning", script], {
    env: {
      ...process.env,
      KAFKA_BROKERS: system.kafkaBrokers,
      KAFKAJS_NO_PARTITIONER_WARNING: "1",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const shots = poolOf(nativeShot("/"));
    const status = floor === "http" ? 200 : 202;
    await measure(Number(line), { ...run, seconds: OWN_WARM_UP_SECONDS }, shots, 1, status);
    return await measure(Number(line), run, shots, 1, status);
  } finally {
    child.kill("SIGTERM");
  }
}

async function measure(
  port: number,
  run: Run,
  next: () => Shot<number>,
  eventsPerShot: number,
  expected: number,
): Promise<Rates> {
  const durations = createDurations();
  const odd = new Map<string, number>();
  const startedAt = performance.now();
  await runLoad({
    port,
    ...run,
    next,
    onResult(result) {
      if (result.status === expected) durations.add(result.endedAt - result.dueAt);
      else {
        const name = result.outcome === "answered" ? String(result.status) : result.outcome;
        odd.set(name, (odd.get(name) ?? 0) + 1);
      }
    },
  });
  const seconds = (performance.now() - startedAt) / 1000;
  if (odd.size > 0) {
    process.stderr.write(`  other answers: ${JSON.stringify(Object.fromEntries(odd))}\n`);
  }
  return {
    perSecond: Math.round((durations.count * eventsPerShot) / seconds),
    p50: durations.percentile(0.5),
    p95: durations.percentile(0.95),
    p99: durations.percentile(0.99),
  };
}

function nativeShot(path: string): (at: number) => Buffer {
  return (at) => buildPost(path, JSON.stringify({ text: `${at} ${FILLER}` }));
}

function batchShot(path: string): (at: number) => Buffer {
  return (at) =>
    buildPost(
      `${path}/batch`,
      JSON.stringify(
        Array.from({ length: BATCH }, (_, item) => ({ text: `${at}.${item} ${FILLER}` })),
      ),
    );
}

/** Shots made once and sent round and round: making them is not what is measured. */
function poolOf(make: (at: number) => Buffer): () => Shot<number> {
  const pool = Array.from({ length: POOL }, (_, at) => ({ bytes: make(at), tag: at }));
  let at = 0;
  return () => pool[at++ % POOL] as Shot<number>;
}
