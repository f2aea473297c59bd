/**
 * `npm run bench:overload`: what senders meet at twice the rate the system can accept. Finds the knee of accepting,
 * measures there, then at twice that, then at half of it again. Prints a table, and JSON in the last line.
 */
import { openBenchSystem } from "./bench/system.ts";
import { buildPost, runLoad } from "./client.ts";
import { createDurations, readUsage } from "./stats.ts";

/** More than may wait in the gateway at any rate reached here: else their number would be the limit, not its own. */
const CONNECTIONS = 2_000;
const SECONDS = 15;
const WARM_UP_SECONDS = 20;
/** The knee is where nearly all of what is offered is accepted within this p99, in ms. */
const KNEE_P99_MS = 250;
const FIRST_RATE = 2_000;
const STEP = 1_000;
const LAST_RATE = 24_000;
const STEP_SECONDS = 6;
const FILLER = "x".repeat(320);

const say = (line: string) => process.stderr.write(`${line}\n`);
await using system = await openBenchSystem();
say("warming up ...");
await offer(FIRST_RATE, WARM_UP_SECONDS);
await system.drained();

let knee = FIRST_RATE;
for (let rate = FIRST_RATE; rate <= LAST_RATE; rate += STEP) {
  // A pause of the machine is no knee: a step that failed is tried once more.
  if (!(await carries(rate)) && !(await carries(rate))) break;
  knee = rate;
}
const at = await offer(knee, SECONDS);
await system.drained();
const over = await offer(knee * 2, SECONDS);
const after = await offer(Math.round(knee / 2), SECONDS);
await system.drained();

for (const [name, run] of Object.entries({ at, over, after })) {
  console.log(
    `${name.padEnd(6)} offered ${run.offeredPerSecond}/s accepted ${run.acceptedPerSecond}/s p50 ${run.p50Ms} ms p99 ${run.p99Ms} ms ` +
      `gateway RSS ${Math.round(run.rssBytesMax / 1_048_576)} MB answers ${JSON.stringify(run.answers)}`,
  );
}
const figures = {
  knee,
  at,
  over,
  after,
  p99_ratio: Math.round((over.p99Ms / at.p99Ms) * 100) / 100,
};
await system[Symbol.asyncDispose]();
console.log(JSON.stringify(figures));

/** Whether nearly all that is offered at a rate is accepted in time. */
async function carries(rate: number): Promise<boolean> {
  const { acceptedPerSecond, p99Ms } = await offer(rate, STEP_SECONDS);
  say(`  ${rate}/s: accepted ${acceptedPerSecond}/s, p99 ${p99Ms} ms`);
  await system.drained();
  return acceptedPerSecond >= rate * 0.95 && p99Ms <= KNEE_P99_MS;
}

/** Offers events at a rate, whatever the answers, and tells what came back. */
async function offer(rate: number, seconds: number) {
  const durations = createDurations();
  const answers: Record<string, number> = {};
  let rssBytesMax = 0;
  const gateway = system.processes().find(({ name }) => name === "gateway");
  const sampler = setInterval(() => {
    rssBytesMax = Math.max(rssBytesMax, readUsage(gateway?.pid ?? 0).rssBytes);
  }, 500);
  let serial = 0;
  await runLoad<number>({
    port: system.port,
    connections: CONNECTIONS,
    seconds,
    rate,
    next: () => ({
      tag: serial,
      bytes: buildPost(system.paths.headgate, JSON.stringify({ text: `${serial++} ${FILLER}` })),
    }),
    onResult({ outcome, status, retryAfter, sentAt, endedAt }) {
      const honest =
        status !== 429 && status !== 503 ? "" : retryAfter ? "" : " without Retry-After";
      const name = outcome === "answered" ? `${status}${honest}` : outcome;
      answers[name] = (answers[name] ?? 0) + 1;
      if (status === 202) durations.add(endedAt - sentAt);
    },
  });
  clearInterval(sampler);
  return {
    offeredPerSecond: Math.round(serial / seconds),
    acceptedPerSecond: Math.round(durations.count / seconds),
    p50Ms: durations.percentile(0.5),
    p99Ms: durations.percentile(0.99),
    rssBytesMax,
    answers,
  };
}
