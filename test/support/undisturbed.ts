/** Tests of exact budgets and replays, on a machine that may stop a process for a second at any time. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { System } from "@headgate/local/system";

const TRIES = 5;
/** ms after which a gateway asks a rate-limiter again that was late, and a little more. */
const RECOVERY_MS = 2_000;

/**
 * Runs `work`, and runs it anew when it failed while budgets and keys were not judged by Redis: after a quarter of a
 * second the rate-limiter judges from memory, after half a second the gateway lets requests through, as they promise. What
 * fails without such a lapse fails at once. `work` must use hooks and keys of its own, made inside of it.
 */
export async function undisturbed<T>(system: System, work: () => Promise<T>): Promise<T> {
  for (let left = TRIES - 1; ; left--) {
    const before = await countLapses(system);
    try {
      return await work();
    } catch (thrown) {
      if (left === 0 || (await countLapses(system)) === before) throw thrown;
    }
    await sleep(RECOVERY_MS);
  }
}

/** Decisions that Redis had no part in, and notes of the moments when it was lost: more than before, if there was a lapse. */
export async function countLapses(system: System): Promise<number> {
  const decisions = await Promise.all(
    (["gateway", "rate-limiter"] as const).map(async (service) => {
      const text = await (await fetch(`${system.opsUrls[service]}/metrics`)).text();
      const lapsed = /^headgate_rate_limit_decisions_total\{.*_mode="(?:away|memory)".*\} (\d+)$/gm;
      return [...text.matchAll(lapsed)].reduce((sum, [, count]) => sum + Number(count), 0);
    }),
  );
  const notes = [
    ["gateway", /rate-limiter is away/g],
    ["rate-limiter", /rate_limit\.degraded/g],
  ] as const;
  const noted = notes.map(([service, note]) => {
    const text = readFileSync(join(system.logFolder, `${service}.log`), "utf8");
    return [...text.matchAll(note)].length;
  });
  return [...decisions, ...noted].reduce((sum, count) => sum + count, 0);
}
