/** Figures of runs: percentiles, and what a process used. */
import { readdirSync, readFileSync } from "node:fs";

/** Collects durations in ms. */
export function createDurations() {
  const values: number[] = [];
  let sorted = false;
  return {
    add(ms: number): void {
      values.push(ms);
      sorted = false;
    },
    get count(): number {
      return values.length;
    },
    /** The value below which `share` (0 to 1) of all lie; 0 when there is none. Rounded to 0.01 ms. */
    percentile(share: number): number {
      if (!sorted) values.sort((a, b) => a - b);
      sorted = true;
      const at = Math.min(values.length - 1, Math.floor(values.length * share));
      return Math.round((values[at] ?? 0) * 100) / 100;
    },
  };
}

/** Kernel clock ticks a second; USER_HZ is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU seconds and resident bytes of a process and all its descendants; zeros for one that is gone. */
export function readUsage(pid: number): { cpuSeconds: number; rssBytes: number } {
  let cpuSeconds = 0;
  let rssBytes = 0;
  for (const member of [pid, ...descendantsOf(pid)]) {
    try {
      const stat = readFileSync(`/proc/${member}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      cpuSeconds += (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
      const status = readFileSync(`/proc/${member}/status`, "latin1");
      // Private memory only for children that share pages (Postgres): RssAnon; for the rest the whole.
      const shared = member === pid ? "VmRSS" : "RssAnon";
      rssBytes += Number(new RegExp(`${shared}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
    } catch {
      // gone between the listing and the reading
    }
  }
  return { cpuSeconds, rssBytes };
}

function descendantsOf(root: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(entry)]);
    } catch {
      // gone
    }
  }
  const found: number[] = [];
  const walk = (pid: number) => {
    for (const child of childrenOf.get(pid) ?? []) {
      found.push(child);
      walk(child);
    }
  };
  walk(root);
  return found;
}
