/**
 * Open-loop runs: the highest rate at which everything accepted becomes readable without growing lag (the knee), and
 * how long that takes at half of it. Latency is taken there, since beyond the knee it only measures the queue.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { buildPost, runLoad } from "../client.ts";
import { createDurations, readUsage } from "../stats.ts";
import type { BenchSystem } from "./system.ts";

/** What the runs came to; rates are events a second, times ms. */
export type Readable = {
  kneePerSecond: number;
  p50: number;
  p99: number;
  processes: { name: string; cpu_seconds_per_1000: number; rss_bytes: number }[];
};

const FIRST_RATE = 2_000;
const STEP = 1_000;
const LAST_RATE = 20_000;
const STEP_SECONDS = 10;
const HALF_KNEE_SECONDS = 15;
/** Lag is flat when what is not yet readable at the end of a step is at most this many ms of the rate. */
const FLAT_LAG_MS = 500;
/** A step counts only when at least this share of it was really accepted. */
const ACCEPTED_SHARE = 0.97;
const CONNECTIONS = 128;
const FILLER = "x".repeat(320);

/** Climbs until lag grows, then measures at half of the last good rate. */
export async function measureReadable(
  system: BenchSystem,
  say: (line: string) => void,
): Promise<Readable> {
  let knee = 0;
  for (let rate = FIRST_RATE; rate <= LAST_RATE; rate += STEP) {
    const step = await runStep(system, rate, STEP_SECONDS);
    const flat =
      step.behind <= (rate * FLAT_LAG_MS) / 1000 &&
      step.accepted >= rate * STEP_SECONDS * ACCEPTED_SHARE;
    say(
      `  ${rate}/s: accepted ${Math.round(step.accepted / STEP_SECONDS)}/s, ${step.behind} behind at the end, ` +
        `readable p50 ${step.durations.percentile(0.5)} ms p99 ${step.durations.percentile(0.99)} ms` +
        (flat ? "" : " - lag grows"),
    );
    await system.drained();
    if (!flat) break;
    knee = Math.round(step.readableInTime / STEP_SECONDS);
  }
  const processes = system.processes();
  const before = processes.map(({ pid }) => readUsage(pid));
  const half = await runStep(system, Math.max(500, Math.round(knee / 2)), HALF_KNEE_SECONDS);
  await system.drained();
  return {
    kneePerSecond: knee,
    p50: half.durations.percentile(0.5),
    p99: half.durations.percentile(0.99),
    processes: processes.map(({ name, pid }, at) => {
      const after = readUsage(pid);
      const cpuSeconds = after.cpuSeconds - (before[at]?.cpuSeconds ?? 0);
      return {
        name,
        cpu_seconds_per_1000: Math.round((cpuSeconds / half.accepted) * 1000 * 10_000) / 10_000,
        rss_bytes: after.rssBytes,
      };
    }),
  };
}

async function runStep(system: BenchSystem, rate: number, seconds: number) {
  const durations = createDurations();
  const dueAtOf = new Map<string, number>(); // by mark; the answer may come after the message is readable
  let accepted = 0;
  let readable = 0;
  let serial = 0;
  const run = `${rate}-${Date.now()}`;
  await using _watch = await system.followReadable((text, at) => {
    const mark = text.slice(0, text.indexOf(" "));
    const dueAt = dueAtOf.get(mark);
    if (dueAt === undefined) return;
    dueAtOf.delete(mark);
    readable++;
    durations.add(at - dueAt);
  });
  await runLoad<string>({
    port: system.port,
    connections: CONNECTIONS,
    seconds,
    rate,
    next(dueAt) {
      const mark = `${run}-${serial++}`;
      dueAtOf.set(mark, dueAt);
      return {
        tag: mark,
        bytes: buildPost(system.paths.headgate, JSON.stringify({ text: `${mark} ${FILLER}` })),
      };
    },
    onResult(result) {
      if (result.status === 202) accepted++;
      else dueAtOf.delete(result.tag);
    },
  });
  const readableInTime = readable;
  const behind = accepted - readable;
  for (let waited = 0; readable < accepted && waited < 60_000; waited += 50) await sleep(50);
  return { accepted, behind, readableInTime, durations };
}
