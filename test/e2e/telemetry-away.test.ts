/** A collector that is not there: nobody waits for it, nothing is lost but spans, and those are counted. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { System } from "@headgate/local/system";
import { beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { useRunningSystem } from "../support/system.ts";

const EVENTS = 200;
const AT_ONCE = 10;
/** ms for which each batch of spans is tried: what an answer would take at least that waits for the collector. */
const TRIED_MS = 3_000;

let system: System;

beforeAll(async () => {
  system = await useRunningSystem({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", // nobody listens there
    OTEL_EXPORTER_OTLP_TIMEOUT: String(TRIED_MS),
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_BSP_MAX_QUEUE_SIZE: "100",
  });
});

test("200 events are accepted without waiting for it, are all readable, and the lost spans are counted", async () => {
  const waits: number[] = [];
  const texts = Array.from({ length: EVENTS }, (_, at) => `away ${at}`);
  const left = [...texts];
  await post("warm up");
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let text = left.pop(); text !== undefined; text = left.pop()) {
        waits.push(await post(text));
      }
    }),
  );
  expect(waits).toHaveLength(EVENTS);
  waits.sort((a, b) => a - b);
  expect(waits[EVENTS / 2]).toBeLessThan(TRIED_MS / 3); // most: single ones may meet a pause of the machine

  await eventually(async () => {
    const seen = (await readTexts()).filter((text) => text !== "warm up");
    expect(seen.toSorted()).toEqual(texts.toSorted());
  });
  await eventually(
    async () => {
      // A span per request and one per record, at the least; some wait in the queue for their turn to be given up.
      expect(await countLost("gateway")).toBeGreaterThan(EVENTS);
      expect(await countLost("chat")).toBeGreaterThan(0);
    },
    { timeoutMs: 60_000 },
  );
});

test("every process is still ready, and says once that the collector is away", async () => {
  for (const url of Object.values(system.opsUrls)) {
    await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200));
  }
  for (const service of ["gateway", "chat"]) {
    await eventually(() => {
      const text = readFileSync(join(system.logFolder, `${service}.log`), "utf8");
      const lines = text.split("\n").filter((line) => line.includes("telemetry.collector_away"));
      expect(lines.filter((line) => JSON.parse(line).signal === "traces")).toHaveLength(1);
    });
  }
});

/** Posts one event; returns the ms that its answer took. */
async function post(text: string): Promise<number> {
  const startedAt = performance.now();
  const answer = await fetch(system.demo.hooks.headgate, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text }),
  });
  expect(answer.status).toBe(202);
  await answer.arrayBuffer();
  return performance.now() - startedAt;
}

async function readTexts(): Promise<string[]> {
  const { channel, admin } = system.demo;
  const texts: string[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const path = `/api/headgate/v1/channels/${channel.id}/messages?after=${after}&limit=200`;
    const answer = await fetch(system.url + path, {
      headers: { authorization: `Bearer ${admin.token}` },
    });
    const { data, next } = (await answer.json()) as Page; // the API's own form
    texts.push(...data.map((message) => message.text));
    after = data.length > 0 ? next : null;
  }
  return texts;
}

type Page = { readonly data: readonly { readonly text: string }[]; readonly next: number | null };

/** Spans that a process gave up: for want of room, or because nobody took them. */
async function countLost(service: "gateway" | "chat"): Promise<number> {
  const text = await (await fetch(`${system.opsUrls[service]}/metrics`)).text();
  const lost = text.matchAll(/^otel_sdk_\w+_total\{.*error_type="\w+".*\} (\d+)$/gm);
  return [...lost].reduce((sum, [, count]) => sum + Number(count), 0);
}
