/**
 * `npm run bench:hostile`: what quiet hooks meet while one sender attacks. For each attack the quiet senders are measured
 * alone and then beside it; the ratio of the two is what counts, for the machine's own speed is in both. The attacker
 * is a process of its own that yields the processors to the system, as if it were another machine. Arguments are names
 * of attacks; without any, all are run. Prints a table; the last line is JSON.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type BenchSystem, openBenchSystem, readMetric } from "./bench/system.ts";
import { attacks } from "./hostile/attacks.ts";
import type { AttackFigures, Target } from "./hostile/means.ts";
import { measureQuiet, type QuietFigures, type QuietTarget } from "./hostile/quiet.ts";
import { prepareTargets } from "./hostile/targets.ts";
import { readUsage } from "./stats.ts";

/** Seconds of load before the first figure, of the quiet senders alone, and beside an attack. */
const WARM_UP_SECONDS = 20;
const ALONE_SECONDS = 10;
const BESIDE_SECONDS = 15;
/** ms of an attack before the quiet senders are measured beside it. */
const LEAD_MS = 2_000;
/** ms between two looks at the memory of the gateway. */
const SAMPLE_MS = 250;
/** How readily the attacker leaves the processors to others. */
const NICENESS = 10;

type Row = {
  readonly attack: string;
  readonly defect: string;
  readonly alone: QuietFigures;
  readonly beside: QuietFigures;
  /** Largest resident memory of the gateway during the attack. */
  readonly rssMb: number;
  /** Calls of ResolveHook, and keys that Redis evicted, during the attack. */
  readonly resolveHookCalls: number;
  readonly redisEvictedKeys: number;
  readonly attacker: AttackFigures;
};

const say = (line: string) => process.stderr.write(`${line}\n`);
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(attacks);
const unknown = names.filter((name) => !(name in attacks));
if (unknown.length > 0) {
  say(`unknown attack: ${unknown.join(", ")}; known: ${Object.keys(attacks).join(", ")}`);
  process.exit(64);
}

// As it is shipped, default ceiling included.
await using system = await openBenchSystem(process.env, { hookCeilingPerMinute: 60_000 });
const { quiet, target } = await prepareTargets(system.running);
say(`warming up for ${WARM_UP_SECONDS} s ...`);
await measureQuiet(quiet, WARM_UP_SECONDS);
const rows: Row[] = [];
for (const name of names) rows.push(await runAttack(system, name, quiet, target));

console.log(
  "attack            defect  refused alone/beside   p50 ms        p99 ms        ratio  readable p99    /me p99        RSS MB",
);
for (const row of rows) console.log(renderRow(row));
await system[Symbol.asyncDispose]();
console.log(JSON.stringify(rows));

async function runAttack(
  under: BenchSystem,
  attack: string,
  quietTarget: QuietTarget,
  attackTarget: Target,
): Promise<Row> {
  say(`${attack} ...`);
  const alone = await measureQuiet(quietTarget, ALONE_SECONDS);
  const before = await readCounters(under);
  const gateway = under.processes().find(({ name }) => name === "gateway")?.pid ?? 0;
  let rssBytes = 0;
  const sampler = setInterval(() => {
    rssBytes = Math.max(rssBytes, readUsage(gateway).rssBytes);
  }, SAMPLE_MS);
  const child = fork(join(import.meta.dirname, "hostile", "attacker.ts"));
  try {
    setPriority(child.pid ?? 0, NICENESS);
    child.send({ attack, target: attackTarget });
    await sleep(LEAD_MS);
    const beside = await measureQuiet(quietTarget, BESIDE_SECONDS);
    const figures = once(child, "message");
    child.send("stop");
    const [attacker] = (await figures) as [AttackFigures];
    const after = await readCounters(under);
    return {
      attack,
      defect: attacks[attack]?.defect ?? "",
      alone,
      beside,
      rssMb: Math.round(rssBytes / 1_048_576),
      resolveHookCalls: after.resolveHookCalls - before.resolveHookCalls,
      redisEvictedKeys: after.redisEvictedKeys - before.redisEvictedKeys,
      attacker,
    };
  } finally {
    clearInterval(sampler);
    if (child.exitCode === null) child.kill("SIGKILL");
    await under.drained();
  }
}

async function readCounters(under: BenchSystem) {
  return {
    resolveHookCalls: await readMetric(
      `${under.opsUrls.registry}/metrics`,
      /^rpc_server_\w+_count\{.*ResolveHook.*\} (\d+)/m,
    ),
    redisEvictedKeys: await under.redisEvictedKeys(),
  };
}

function renderRow({ attack, defect, alone, beside, rssMb, ...rest }: Row): string {
  const count = (refused: QuietFigures["refused"]) =>
    Object.values(refused).reduce((sum, one) => sum + one, 0);
  const pair = (one: number, two: number) => `${one.toFixed(1)} -> ${two.toFixed(1)}`.padEnd(14);
  return [
    attack.padEnd(17),
    defect.padEnd(7),
    `${count(alone.refused)}/${alone.sent} -> ${count(beside.refused)}/${beside.sent}`.padEnd(22),
    pair(alone.p50, beside.p50),
    pair(alone.p99, beside.p99),
    (beside.p99 / alone.p99).toFixed(2).padEnd(6),
    pair(alone.readableP99, beside.readableP99),
    pair(alone.apiP99, beside.apiP99),
    String(rssMb).padEnd(6),
    `refused ${JSON.stringify(beside.refused)} ResolveHook ${rest.resolveHookCalls} evicted ${rest.redisEvictedKeys} attacker ${JSON.stringify(rest.attacker)}`,
  ].join(" ");
}
