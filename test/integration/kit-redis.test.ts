import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import { defineScript, openRedis, type Redis } from "@headgate/kit/redis";
import { expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { useParts } from "../support/parts.ts";
import { openTcpProxy } from "../support/tcp-proxy.ts";

/** A door to the shared Redis through a proxy of its own. The limit of a command is long unless it is what is tried. */
async function open({ timeoutMs = 20_000 } = {}) {
  const { redisUrl } = await useParts();
  const proxy = await openTcpProxy(redisUrl);
  const { log, lines } = createCollectedLog();
  const redis = await openRedis({ url: proxy.url, timeoutMs, log });
  onTestFinished(async () => {
    await redis[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  await eventually(() => redis.ready);
  return { redis, proxy, lines };
}

/** How a command ended and how many ms it took. */
async function time(work: Promise<unknown>): Promise<{ reason: string; ms: number }> {
  const startedMs = performance.now();
  const reason = await work.then(
    () => "answered",
    (thrown) => AppError.from(thrown).reason,
  );
  return { reason, ms: performance.now() - startedMs };
}

const ping = (redis: Redis) => time(redis.command("PING"));

test("gives bulk strings as bytes, integers as numbers, nothing as null", async () => {
  const { redis } = await open();
  const key = `test:${randomUUID()}`;
  const value = Buffer.from([0, 255, 13, 10]);
  await redis.command("SET", key, value, "PX", 10_000);
  expect(await redis.command("GET", key)).toEqual(value);
  expect(await redis.command("STRLEN", key)).toBe(4);
  expect(await redis.command("GET", `test:${randomUUID()}`)).toBeNull();
});

test("runs a script that the server never saw, or forgot", async () => {
  const { redis } = await open();
  const script = defineScript(`return { KEYS[1], ARGV[1], '${randomUUID()}' }`);
  const first = await redis.evaluate(script, ["a"], [1]);
  expect(first).toEqual([Buffer.from("a"), Buffer.from("1"), expect.any(Buffer)]);
  await redis.command("SCRIPT", "FLUSH");
  expect(await redis.evaluate(script, ["a"], [1])).toEqual(first);
});

test("tells a wrong command from a server that is away", async () => {
  const { redis } = await open();
  expect((await time(redis.command("NO-SUCH-COMMAND"))).reason).toBe("redis_rejected");
  expect(redis.ready).toBe(true);
});

test("opens while the server is away, and finds it when it comes", async () => {
  const { redisUrl } = await useParts();
  await using proxy = await openTcpProxy(redisUrl);
  await proxy.cut();
  const { log } = createCollectedLog();
  await using redis = await openRedis({ url: proxy.url, timeoutMs: 20_000, log });
  expect(redis.ready).toBe(false);
  expect((await ping(redis)).reason).toBe("redis_unavailable");
  await proxy.restore();
  await eventually(() => expect(redis.ready).toBe(true));
  expect((await ping(redis)).reason).toBe("answered");
});

test("fails at once while the server is gone, and goes on when it is back", async () => {
  const { redis, proxy, lines } = await open({ timeoutMs: 20_000 });
  await proxy.cut();
  await eventually(() => expect(redis.ready).toBe(false));
  const { reason, ms } = await ping(redis);
  expect(reason).toBe("redis_unavailable");
  expect(ms).toBeLessThan(10_000); // half of the limit
  await proxy.restore();
  await eventually(async () => expect((await ping(redis)).reason).toBe("answered"));
  expect(lines.filter(({ msg }) => msg === "redis.connection_lost")).toHaveLength(1);
});

test("pays for a frozen server once, not with each command", async () => {
  const timeoutMs = 1_000;
  const { redis, proxy } = await open({ timeoutMs });
  proxy.freeze();
  const early = await Promise.all(Array.from({ length: 20 }, () => ping(redis)));
  expect(new Set(early.map(({ reason }) => reason))).toEqual(new Set(["redis_unavailable"]));
  expect(Math.max(...early.map(({ ms }) => ms))).toBeLessThan((early.length * timeoutMs) / 2); // not in turn
  // Long enough for several tries to connect, which a frozen server's kernel lets succeed.
  const later: number[] = [];
  for (let turn = 0; turn < 100; turn++) {
    later.push((await ping(redis)).ms);
    await sleep(40);
  }
  // A refusal takes no turn of the event loop, so that hardly any pause of the machine falls into one.
  expect(later.filter((ms) => ms > timeoutMs / 2).length).toBeLessThanOrEqual(1);
  await proxy.restore();
  await eventually(async () => expect((await ping(redis)).reason).toBe("answered"));
});

test("never takes a late reply for the answer to a later command", async () => {
  const { redis, proxy } = await open({ timeoutMs: 500 });
  proxy.freeze();
  await time(redis.command("ECHO", "late"));
  await proxy.restore();
  const answer = await eventually(() => redis.command("ECHO", "now"));
  expect(answer).toEqual(Buffer.from("now"));
});

test("closes in time although the server is frozen", async () => {
  const { redisUrl } = await useParts();
  await using proxy = await openTcpProxy(redisUrl);
  const { log } = createCollectedLog();
  const redis = await openRedis({ url: proxy.url, timeoutMs: 20_000, log });
  proxy.freeze();
  const { ms } = await time(Promise.resolve(redis[Symbol.asyncDispose]()));
  expect(ms).toBeLessThan(10_000); // half of what a command would be given
});

test("writes neither password nor arguments into errors and log", async () => {
  const { log, lines } = createCollectedLog();
  const url = "redis://user:hunter2-of-redis@127.0.0.1:1";
  await using redis = await openRedis({ url, log });
  const { message, cause } = await redis.command("SET", "key", "value-of-a-secret").then(
    () => new AppError("internal", "answered", "It answered."),
    (thrown) => AppError.from(thrown),
  );
  expect(`${JSON.stringify(lines)} ${message} ${cause}`).not.toMatch(/hunter2|value-of-a-secret/);
});
