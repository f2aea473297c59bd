/** The live stream of a running system: what a reader missed is shown when it comes back, whatever happened meanwhile. */
import type { System } from "@headgate/local/system";
import { beforeAll, expect, test } from "vitest";
import { openEventStream } from "../support/event-stream.ts";
import { eventually } from "../support/eventually.ts";
import { useRunningSystem } from "../support/system.ts";

/** Events of one batch. */
const BATCH = 500;

let system: System;
beforeAll(async () => {
  system = await useRunningSystem();
});

const listen = (lastId?: string) =>
  openEventStream(system.url, system.demo.admin.token, { lastId });

/** Posts events with texts of 1 KB that begin with their number, and waits until all can be read. */
async function post(from: number, count: number): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, at) => `${from + at} ${"x".repeat(1_000)}`);
  for (let at = 0; at < count; at += BATCH) {
    const response = await fetch(`${system.demo.hooks.headgate}/batch`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(texts.slice(at, at + BATCH).map((text) => ({ text }))),
    });
    expect(response.status).toBe(207);
  }
  await eventually(
    async () => {
      const path = `/api/headgate/v1/channels/${system.demo.channel.id}/messages?limit=1`;
      const response = await fetch(system.url + path, {
        headers: { authorization: `Bearer ${system.demo.admin.token}` },
      });
      const { data } = (await response.json()) as { data: { text: string }[] };
      expect(data[0]?.text).toBe(texts.at(-1));
    },
    { timeoutMs: 120_000 },
  );
  return texts;
}

const textsOf = ({ events }: Awaited<ReturnType<typeof listen>>) =>
  events.filter(({ event }) => event === "message").map(({ data }) => data.text);

test("a reader that was away during 3,000 messages gets all of them, in order", async () => {
  const first = await listen();
  await first.stop();
  const texts = await post(0, 3_000);
  const again = await listen(first.lastId);
  expect(again.events.some(({ event }) => event === "gap")).toBe(false);
  expect(textsOf(again)).toEqual(texts);
  await again.stop();
}, 240_000);

test("a restart of the gateway, with nothing read in between, hides nothing from a reader that comes back", async () => {
  const first = await listen();
  await first.stop();
  const texts = await post(10_000, 1_500);
  await system.services.gateway.stop();
  await system.services.gateway.start();
  await eventually(async () => {
    expect((await fetch(`${system.opsUrls.gateway}/readyz`)).status).toBe(200);
  });
  const again = await listen(first.lastId);
  expect(again.events.some(({ event }) => event === "gap")).toBe(false);
  expect(textsOf(again)).toEqual(texts);
  const more = await post(20_000, 1);
  await eventually(() => expect(textsOf(again).slice(texts.length)).toEqual(more));
  await again.stop();
}, 240_000);

test("a reader that was away for more than the memory holds is told so, and how far back to read", async () => {
  const first = await listen();
  await first.stop();
  await post(30_000, 10_500);
  const again = await listen(first.lastId);
  const [gap] = again.events;
  expect(gap).toMatchObject({ event: "gap", data: { reason: "too_old" } });
  expect(Date.parse(gap?.data.since)).toBeLessThanOrEqual(Date.now());
  expect(textsOf(again)).toEqual([]);
  await again.stop();
}, 240_000);
