/**
 * Faults that end no process: a broker that stands still, a log that falls back, a clock that steps back, a Redis without
 * room. What was accepted is readable once and in order; what was refused with "nothing is kept" is not readable.
 */
import { cp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { isKafkaServing } from "@headgate/local/parts/kafka-probe";
import { ask } from "@headgate/local/parts/probe";
import type { System } from "@headgate/local/system";
import { topics } from "@headgate/proto/topics";
import { beforeAll, expect, test } from "vitest";
import { type FaultReport, runFaults } from "../load/faults.ts";
import { eventually } from "../support/eventually.ts";
import { useRunningSystem } from "../support/system.ts";

const RATE = 400;
const CHANNELS = 3;
const TIMEOUT_MS = 600_000;
const clockStep = pathToFileURL(join(import.meta.dirname, "..", "support", "clock-step.mjs")).href;
const NODE_OPTIONS = `--import=${clockStep}`;

let system: System;
beforeAll(async () => {
  system = await useRunningSystem(
    {},
    { serviceEnv: { gateway: { NODE_OPTIONS }, chat: { NODE_OPTIONS } } },
  );
});

test(
  "a broker that stands still for 7, 12 and 30 s loses, doubles and misorders nothing",
  async () => {
    const report = await runFaults(system, {
      rate: RATE,
      seconds: 72,
      channels: CHANNELS,
      faults: [freeze(3, 7), freeze(15, 12), freeze(33, 30)],
    });
    expectKept(report);
  },
  TIMEOUT_MS,
);

test(
  "a wall clock that steps back by 120 s while sends wait delays and loses nothing",
  async () => {
    const report = await runFaults(system, {
      rate: RATE,
      seconds: 20,
      channels: CHANNELS,
      faults: [
        {
          name: "kafka",
          atSeconds: 3,
          happen: () => system.parts.processes.kafka?.kill("SIGKILL"),
        },
        {
          name: "clocks of gateway and chat back by 120 s",
          atSeconds: 4, // while sends wait for the broker's return
          happen() {
            system.services.gateway.kill("SIGUSR2");
            system.services.chat.kill("SIGUSR2");
          },
        },
      ],
    });
    expectKept(report);
    // Before the clocks have caught up, which takes 120 s, events are accepted and readable again.
    expect(report.silences.at(-1)?.longestMs).toBeLessThan(60_000);
    expect(report.caughtUpMs).toBeLessThan(60_000);
  },
  TIMEOUT_MS,
);

test(
  "a Redis without room changes no outcome",
  async () => {
    const report = await runFaults(system, {
      rate: RATE,
      seconds: 15,
      channels: CHANNELS,
      faults: [
        {
          name: "no room in Redis for 8 s",
          atSeconds: 3,
          async happen() {
            await configureRedis({ "maxmemory-policy": "noeviction", maxmemory: "1" });
            await sleep(8_000);
            await configureRedis({ maxmemory: "256mb", "maxmemory-policy": "volatile-ttl" });
          },
        },
      ],
    });
    expectKept(report);
    expect(report.refusedByStatus).toEqual({});
  },
  TIMEOUT_MS,
);

test(
  "a log that falls back by 8 s loses nothing that is accepted after the return of the broker",
  async () => {
    let returnedAt = Number.POSITIVE_INFINITY;
    const report = await runFaults(system, {
      rate: RATE,
      seconds: 40,
      channels: CHANNELS,
      faults: [
        {
          name: "log back by 8 s",
          atSeconds: 5,
          async happen() {
            returnedAt = await rollBack(8_000);
          },
        },
      ],
      mustBeReadable: ({ acceptedAt = 0 }) => acceptedAt > returnedAt,
    });
    // What the broker acknowledged and then forgot is lost: one broker acknowledges from its memory.
    expect(report.lostAcceptedAt.filter((at) => at > returnedAt)).toEqual([]);
    expect(returnedAt).toBeLessThan(Number.POSITIVE_INFINITY);
    expectKept({ ...report, lost: [], misordered: [] });
  },
  TIMEOUT_MS,
);

function expectKept(report: FaultReport): void {
  const { lost, doubled, ghosts, misordered, lostAcceptedAt: _, ...figures } = report;
  console.log(JSON.stringify({ ...figures, test: expect.getState().currentTestName }));
  expect({ lost, doubled, ghosts, misordered }).toEqual({
    lost: [],
    doubled: [],
    ghosts: [],
    misordered: [],
  });
  expect(report.keyedUnaccepted).toBe(0);
  expect(report.accepted).toBeGreaterThan(100);
}

function freeze(atSeconds: number, seconds: number) {
  return {
    name: `kafka frozen for ${seconds} s`,
    atSeconds,
    async happen() {
      system.parts.processes.kafka?.kill("SIGSTOP");
      await sleep(seconds * 1_000);
      system.parts.processes.kafka?.kill("SIGCONT");
    },
  };
}

/**
 * Puts the files of chat.requested back to what they were some ms ago and leaves the offsets of the groups as they are,
 * as a machine does that loses its page cache. Resolves with the moment at which the broker serves again.
 */
async function rollBack(ms: number): Promise<number> {
  const kafka = system.parts.processes.kafka;
  const folder = join(system.dataDir, "kafka", "log");
  const partitions = (await readdir(folder)).filter((name) =>
    name.startsWith(`${topics.chatRequested.name}-`),
  );
  const copies = join(system.dataDir, "rolled-back");
  for (const name of partitions) {
    await cp(join(folder, name), join(copies, name), { recursive: true, force: true });
  }
  await sleep(ms);
  kafka?.kill("SIGSTOP"); // its files stay as they are while they are exchanged
  for (const name of partitions) {
    await rm(join(folder, name), { recursive: true });
    await rename(join(copies, name), join(folder, name));
  }
  const restarts = kafka?.restarts ?? 0;
  kafka?.kill("SIGKILL");
  const port = Number(system.parts.kafkaBrokers[0]?.split(":")[1]);
  const isBack = async () => (kafka?.restarts ?? 0) > restarts && (await isKafkaServing(port));
  await eventually(isBack, { timeoutMs: 60_000 });
  return performance.now();
}

async function configureRedis(settings: Readonly<Record<string, string>>): Promise<void> {
  const { port, password } = new URL(system.parts.redisUrl);
  const lines = Object.entries(settings).map(([name, value]) => `CONFIG SET ${name} ${value}\r\n`);
  const answer = await ask({
    port: Number(port),
    question: Buffer.from(`AUTH ${password}\r\n${lines.join("")}`),
    isWhole: (bytes) => bytes.toString("latin1").split("\r\n").length > lines.length + 1,
  });
  expect(answer?.toString("latin1")).toBe("+OK\r\n".repeat(lines.length + 1));
}
