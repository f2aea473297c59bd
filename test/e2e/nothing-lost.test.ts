/** The two promises under fire: what was accepted is readable, once, in the order of the log, whatever is killed. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { runFaults } from "../load/faults.ts";
import { useRunningSystem } from "../support/system.ts";

const RATE = 1_300;
const SECONDS = 36;

test("nothing accepted is lost or shown twice while everything is killed under load", async () => {
  const system = await useRunningSystem();
  const { kafka, redis, postgres } = system.parts.processes;
  const report = await runFaults(system, {
    rate: RATE,
    seconds: SECONDS,
    channels: 3,
    faults: [
      { name: "gateway", atSeconds: 2, happen: () => system.services.gateway.kill("SIGKILL") },
      { name: "chat", atSeconds: 6, happen: () => system.services.chat.kill("SIGKILL") },
      {
        name: "rate-limiter",
        atSeconds: 9,
        happen: () => system.services["rate-limiter"].kill("SIGKILL"),
      },
      { name: "redis", atSeconds: 11, happen: () => redis?.kill("SIGKILL") },
      { name: "kafka", atSeconds: 13, happen: () => kafka?.kill("SIGKILL") },
      {
        name: "postgres for 10 s",
        atSeconds: 22,
        async happen() {
          await postgres?.stop();
          await sleep(10_000);
          await postgres?.start();
        },
      },
      { name: "chat again", atSeconds: 33, happen: () => system.services.chat.kill("SIGKILL") },
    ],
  });
  const { lost, doubled, ghosts, misordered, ...figures } = report;
  const counts = { lost, doubled, ghosts, misordered };
  console.log(
    JSON.stringify(
      {
        ...figures,
        ...Object.fromEntries(Object.entries(counts).map(([name, marks]) => [name, marks.length])),
      },
      null,
      2,
    ),
  );
  expect(counts).toEqual({ lost: [], doubled: [], ghosts: [], misordered: [] });
  expect(report.keyedUnaccepted).toBe(0);
  expect(report.accepted).toBeGreaterThan(1_000); // how many is the bench's business; here it says that there was a load
}, 600_000);
