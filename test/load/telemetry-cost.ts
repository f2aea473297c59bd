/**
 * `npm run bench:telemetry`: what telemetry costs. Two whole systems stand side by side, one with telemetry off, one with
 * every trace and all metrics sent to a collector that takes and forgets them; the load goes to one and the other by
 * turns, so that whatever else the machine does falls on both. The last line is JSON. Ends with 1 when telemetry takes
 * more than a third of what is accepted without it.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { measureAccepted, warmUp } from "./bench/accepted.ts";
import { type BenchSystem, openBenchSystem } from "./bench/system.ts";
import { readUsage } from "./stats.ts";

const CONNECTIONS = 64;
/** Seconds of load on each system before the first figure, and of each turn. */
const WARM_UP_SECONDS = 15;
const TURN_SECONDS = 6;
const TURNS = 3;
/** The least share of the events that must be left. */
const SHARE_MIN = 2 / 3;

const say = (line: string) => process.stderr.write(`${line}\n`);

await using collector = await openCollector();
const { PATH, HOME } = process.env;
say("starting two systems ...");
await using off = await openBenchSystem({ PATH, HOME });
await using on = await openBenchSystem({
  PATH,
  HOME,
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  OTEL_METRIC_EXPORT_INTERVAL: "10000",
});
for (const system of [off, on]) {
  say(`warming up for ${WARM_UP_SECONDS} s ...`);
  await warmUp(system, { connections: CONNECTIONS, seconds: WARM_UP_SECONDS });
}

const rates = { off: [] as number[], on: [] as number[] };
/** CPU µs per event of the processes that an event passes through: steadier than rates on a machine that is not ours alone. */
const cpuMicros = { off: [] as number[], on: [] as number[] };
for (let turn = 0; turn < TURNS; turn++) {
  // The one that goes first changes from turn to turn.
  for (const which of turn % 2 === 0 ? (["off", "on"] as const) : (["on", "off"] as const)) {
    const system = which === "on" ? on : off;
    const run = { connections: CONNECTIONS, seconds: TURN_SECONDS };
    const before = readCpuSeconds(system);
    const { perSecond } = await measureAccepted(system, "native", run);
    const micros = ((readCpuSeconds(system) - before) * 1e6) / (perSecond * TURN_SECONDS);
    rates[which].push(perSecond);
    cpuMicros[which].push(Math.round(micros));
    say(
      `telemetry ${which}: ${perSecond} events/s, gateway and chat ${Math.round(micros)} µs/event`,
    );
  }
}
const shares = rates.on.map((rate, at) => rate / (rates.off[at] ?? rate));
const share = median(shares);
const gateway = await countSpans(on, "gateway");
const chat = await countSpans(on, "chat");
const report = {
  accepted_per_second: { off: median(rates.off), on: median(rates.on) },
  cpu_micros_per_event: { off: median(cpuMicros.off), on: median(cpuMicros.on) },
  share: round(share),
  shares: shares.map(round),
  spans: { gateway, chat },
  collector_bytes: collector.bytes(),
};
console.log(
  `with every trace, ${Math.round(share * 100)} % of the events are accepted that are without; ` +
    `spans lost: gateway ${gateway.lost} of ${gateway.taken}, chat ${chat.lost} of ${chat.taken}`,
);
console.log(JSON.stringify(report));
process.exitCode = share >= SHARE_MIN ? 0 : 1;

/** CPU of gateway and chat since they began. */
function readCpuSeconds(system: BenchSystem): number {
  const ours = system.processes().filter(({ name }) => name === "gateway" || name === "chat");
  return ours.reduce((sum, { pid }) => sum + readUsage(pid).cpuSeconds, 0);
}

/** Takes whatever comes and forgets it. */
async function openCollector() {
  let bytes = 0;
  const server = createServer((req, res) => {
    req.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    req.on("end", () => res.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server's address is one
  return {
    url: `http://127.0.0.1:${port}`,
    bytes: () => bytes,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Spans that ended in a process, and those of them that the collector never got: all of the runs, warm-up included. */
async function countSpans(system: BenchSystem, service: "gateway" | "chat") {
  const text = await (await fetch(`${system.opsUrls[service]}/metrics`)).text();
  const lines = [
    ...text.matchAll(/^otel_sdk_(processor|exporter)_span_\w+_total\{(.*)\} (\d+)$/gm),
  ];
  const sum = (wanted: (part: string, labels: string) => boolean) =>
    lines
      .filter(([, part = "", labels = ""]) => wanted(part, labels))
      .reduce((total, [, , , count]) => total + Number(count), 0);
  return {
    taken: sum((part) => part === "processor"),
    lost: sum((_, labels) => labels.includes("error_type")),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
