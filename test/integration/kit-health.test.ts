import { openHealth } from "@headgate/kit/health";
import { expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";

type Checks = Parameters<typeof openHealth>[0]["checks"];

async function open(options: { checks?: Checks; alive?: Checks } = {}) {
  const { log } = createCollectedLog();
  const health = await openHealth({ host: "127.0.0.1", port: 0, checks: {}, log, ...options });
  onTestFinished(() => health[Symbol.asyncDispose]());
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${health.port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { health, ask };
}

test("is alive at once, started when told, ready from then until it stops", async () => {
  const { health, ask } = await open();
  const statuses = async () => {
    const answers = await Promise.all(["/livez", "/startupz", "/readyz"].map(ask));
    return answers.map((answer) => answer.status);
  };
  expect(await statuses()).toEqual([200, 503, 503]);
  health.started();
  expect(await statuses()).toEqual([200, 200, 200]);
  health.stopping();
  expect(await statuses()).toEqual([200, 200, 503]);
  health.started();
  expect((await ask("/readyz")).status).toBe(503);
});

test("is ready only when every check says so, and lists each", async () => {
  let database = false;
  const { health, ask } = await open({
    checks: {
      kafka: () => true,
      database: async () => database,
      broken: () => {
        if (!database) throw new Error("x");
        return true;
      },
    },
  });
  health.started();
  const { status, text } = await ask("/readyz");
  expect(status).toBe(503);
  expect(JSON.parse(text).checks).toEqual({ kafka: true, database: false, broken: false });
  expect((await ask("/livez")).status).toBe(200);
  database = true;
  expect((await ask("/readyz")).status).toBe(200);
});

test("does not wait for a check that hangs", async () => {
  const { health, ask } = await open({ checks: { hangs: () => new Promise(() => {}) } });
  health.started();
  expect((await ask("/readyz")).status).toBe(503); // it answers at all
});

test("is not alive when a loop that must turn does not", async () => {
  const { ask } = await open({ alive: { poll: () => false } });
  expect((await ask("/livez")).status).toBe(503);
});

test("shows metrics as Prometheus text, and nothing on other paths", async () => {
  const { ask } = await open();
  expect((await ask("/metrics")).status).toBe(200);
  expect((await ask("/other")).status).toBe(404);
});
