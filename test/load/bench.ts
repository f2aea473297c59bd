/**
 * `npm run bench`: what the whole system takes, makes readable and costs, beside two floors measured in the same run.
 * Starts everything it needs with data of its own, prints one table, writes JSON and names its path in the last line.
 * Absolute figures vary with the machine; the ratios to the floors are what counts.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { measureAccepted, measureFloor, type Rates, warmUp } from "./bench/accepted.ts";
import { measureReadable } from "./bench/readable.ts";
import { printTable, type Report } from "./bench/report.ts";
import { openBenchSystem } from "./bench/system.ts";

/** Connections of every closed-loop run, floors included. */
const CONNECTIONS = 64;
/** Seconds of each measured run, and of load before the first: the broker's JVM needs some 30 s to warm up. */
const RUN_SECONDS = 10;
const WARM_UP_SECONDS = 25;

const root = fileURLToPath(new URL("../..", import.meta.url));
const say = (line: string) => process.stderr.write(`${line}\n`);

say("starting the system ...");
await using system = await openBenchSystem();

say(`warming up for ${WARM_UP_SECONDS} s ...`);
await warmUp(system, { connections: CONNECTIONS, seconds: WARM_UP_SECONDS });

const run = { connections: CONNECTIONS, seconds: RUN_SECONDS };
const floors: Record<"http" | "publisher", Rates> = {
  http: await said("floor: bare http", () => measureFloor(system, "http", run)),
  publisher: await said("floor: http + publisher", () => measureFloor(system, "publisher", run)),
};
const accepted = {
  native: await said("accepted: native", () => measureAccepted(system, "native", run)),
  mattermost: await said("accepted: mattermost", () => measureAccepted(system, "mattermost", run)),
  batch_50: await said("accepted: batch of 50", () => measureAccepted(system, "batch_50", run)),
};
const readable = await said("readable", () => measureReadable(system, say));

const report: Report = {
  floors: {
    http: { per_second: floors.http.perSecond },
    publisher: { per_second: floors.publisher.perSecond },
  },
  accepted: (["native", "mattermost", "batch_50"] as const).map((name) => ({
    name,
    per_second: accepted[name].perSecond,
    p50_ms: accepted[name].p50,
    p95_ms: accepted[name].p95,
    p99_ms: accepted[name].p99,
    ratio_to_publisher: round(accepted[name].perSecond / floors.publisher.perSecond),
  })),
  readable: { per_second: readable.kneePerSecond, p50_ms: readable.p50, p99_ms: readable.p99 },
  processes: readable.processes,
};
printTable(report);
const folder = join(root, ".cache", "bench");
mkdirSync(folder, { recursive: true });
const file = join(folder, "bench.json");
writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
await system[Symbol.asyncDispose]();
console.log(file);

async function said<T>(what: string, work: () => Promise<T>): Promise<T> {
  say(`${what} ...`);
  return await work();
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
