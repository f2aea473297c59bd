import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openClient } from "@headgate/kit/grpc";
import { openRedis } from "@headgate/kit/redis";
import { Decision, RateLimiterService } from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { createRedisStore } from "@headgate/rate-limiter/store";
import {
  buildAsk,
  buildClaim,
  buildWindow,
  KEPT_BYTES,
  storeSuite,
} from "@headgate/rate-limiter/testing/store-suite";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { createIssuer } from "../support/identity.ts";
import { openOwnRedis } from "../support/own-redis.ts";
import { useParts } from "../support/parts.ts";
import { findPort } from "../support/ports.ts";
import { openTcpProxy } from "../support/tcp-proxy.ts";

const MAIN = path.resolve(import.meta.dirname, "../../services/rate-limiter/src/main.ts");

/** A store in the shared Redis, through a proxy of its own. Commands may take long unless that is tried. */
async function openStore({ timeoutMs = 20_000 } = {}) {
  const { redisUrl } = await useParts();
  const proxy = await openTcpProxy(redisUrl);
  const redis = await openRedis({ url: proxy.url, timeoutMs, log: createCollectedLog().log });
  await eventually(() => redis.ready);
  return { store: createRedisStore({ redis, keptBytes: KEPT_BYTES }), redis, proxy };
}

describe("the store in Redis", () => {
  let opened: Awaited<ReturnType<typeof openStore>>;
  beforeAll(async () => {
    opened = await openStore();
    return async () => {
      await opened.redis[Symbol.asyncDispose]();
      await opened.proxy[Symbol.asyncDispose]();
    };
  });

  // Time is Redis's own: it has to pass.
  storeSuite(() => ({ store: opened.store, pass: async (ms) => void (await sleep(ms)) }));

  test("lets a claim go after 30 s and an answer after 24 h", async () => {
    const { store, redis } = opened;
    const claim = buildClaim();
    await store.admit([buildAsk({ claim })]);
    const key = `headgate:rate:i:${claim.id}`;
    expect(await redis.command("PTTL", key)).toSatisfy((ms) => ms > 15_000 && ms <= 30_000);
    await store.settle([{ id: claim.id, scope: claim.id, answer: Buffer.from("kept") }]);
    expect(await redis.command("PTTL", key)).toSatisfy((ms) => ms > 86_300_000 && ms <= 86_400_000);
  });

  test("leaves nothing behind in Redis that does not expire", async () => {
    const { store, redis } = opened;
    const key = randomUUID();
    const budgets = [
      { key, rule: { kind: "window", limit: 5, windowMs: 60_000 } as const },
      { key, rule: { kind: "bucket", perMinute: 1, burst: 5 } as const },
    ];
    await store.admit([buildAsk({ budgets }), buildAsk({ budgets })]);
    expect(await redis.command("PTTL", `headgate:rate:w:60000:${key}`)).toBeGreaterThan(0);
    expect(await redis.command("PTTL", `headgate:rate:b:1:5:${key}`)).toBeGreaterThan(60_000); // two to fill
  });

  test("judges on when Redis's clock jumped ahead", async () => {
    const { redis } = opened;
    let elapsed = 1_000_000;
    const store = createRedisStore({ redis, keptBytes: KEPT_BYTES, elapsedMs: () => elapsed });
    await store.admit([buildAsk()]);
    elapsed -= 60_000;
    const [verdict] = await store.admit([buildAsk()]);
    expect(verdict?.decision).toBe("admitted");
  });
});

test("an ask that Redis reads long after its caller was answered takes and claims nothing", async () => {
  const { store, redis, proxy } = await openStore({ timeoutMs: 2_000 }); // longer than an ask may lie in a socket
  onTestFinished(async () => {
    await redis[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  const ask = buildAsk({ budgets: [buildWindow(5)], claim: buildClaim() });
  await eventually(() => store.admit([buildAsk()])); // learns the time
  proxy.freeze();
  await expect(store.admit([ask])).rejects.toMatchObject({ reason: "redis_unavailable" });
  await proxy.restore();
  await eventually(() => redis.ready);
  const [verdict] = await store.admit([ask]);
  expect([verdict?.decision, verdict?.budgets[0]?.remaining]).toEqual(["admitted", 4]);
});

test("a hook that fills its bytes with keys leaves the budgets and keys of others as they are", async () => {
  await using own = await openOwnRedis({ maxmemory: "6mb" });
  const { redis } = own;
  const store = createRedisStore({ redis, keptBytes: { perScope: 262_144, total: 1_048_576 } });
  const quiet = buildAsk({ budgets: [buildWindow(1)], claim: buildClaim() });
  const [first] = await store.admit([quiet]);
  expect(first?.decision).toBe("admitted");
  const { id } = quiet.claim ?? buildClaim();
  await store.settle([{ id, scope: "quiet", answer: Buffer.from("kept") }]);
  for (let turn = 0; turn < 40; turn++) {
    const claims = Array.from({ length: 100 }, () => buildClaim());
    await store.admit(claims.map((claim) => buildAsk({ claim })));
    const answer = Buffer.alloc(4_096, 1);
    await store.settle(claims.map((claim) => ({ id: claim.id, scope: "noisy", answer })));
  }
  expect((await store.admit([quiet]))[0]?.decision).toBe("limited");
  expect((await store.admit([{ ...quiet, budgets: [] }]))[0]?.decision).toBe("replay");
  const stats = String(await redis.command("INFO", "stats"));
  expect(stats).toContain("evicted_keys:0");
});

test("a full Redis is as good as one that is away: the service judges from memory and says so", async () => {
  await using own = await openOwnRedis({ maxmemory: "6mb" });
  const { client } = await startService(own.url);
  await eventually(async () => !(await client.admit(buildRequest())).degraded);
  await own.redis.command("CONFIG", "SET", "maxmemory", "1");
  const { admissions, degraded } = await client.admit(buildRequest());
  expect([admissions[0]?.decision, degraded]).toEqual([Decision.ADMITTED, true]);
});

const gateway = createIssuer();

/** The service as a process, and a client of it. */
async function startService(redisUrl: string) {
  const opsPort = await findPort();
  const child = spawn(process.execPath, [MAIN], {
    env: {
      REDIS_URL: redisUrl,
      HEADGATE_HOST: "127.0.0.1",
      HEADGATE_GRPC_PORT: "0",
      HEADGATE_OPS_PORT: `${opsPort}`,
      HEADGATE_RPC_VERIFY_KEYS: gateway.verifySetting,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: Record<string, unknown>[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(JSON.parse(line)));
  createInterface({ input: child.stderr }).on("line", (line) => errors.push(line));
  onTestFinished(() => stop(child));
  const portOf = (msg: string) =>
    eventually(() => {
      const port = lines.find((line) => line.msg === msg)?.port;
      if (typeof port !== "number") throw new Error(`no ${msg} yet ${errors.join("\n")}`);
      return port;
    });
  const address = `127.0.0.1:${await portOf("rpc.listening")}`;
  const peer = { address, audience: "rate-limiter", access: gateway.access };
  const client = openClient(RateLimiterService, { ...peer, deadlineMs: 30_000 });
  onTestFinished(() => client[Symbol.asyncDispose]());
  const readOps = async (asked: string) => {
    const response = await fetch(`http://127.0.0.1:${opsPort}${asked}`);
    return { status: response.status, text: await response.text() };
  };
  return { child, lines, client, readOps };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** An Admit request for one item with one window of 2 a minute. */
function buildRequest(key: string = randomUUID()) {
  const rule = { case: "fixedWindow", value: { limit: 2, windowSeconds: 60 } } as const;
  return { items: [{ budgets: [{ key, rule }] }] };
}

test("two replicas keep one budget", async () => {
  const { redisUrl } = await useParts();
  const [one, other] = await Promise.all([startService(redisUrl), startService(redisUrl)]);
  const decisions = await eventually(async () => {
    const request = buildRequest();
    const answers: Awaited<ReturnType<typeof one.client.admit>>[] = [];
    for (const { client } of [one, other, one, other]) answers.push(await client.admit(request));
    // One that Redis was late for says so, and was judged by a replica alone: once more, then.
    return (
      !answers.some(({ degraded }) => degraded) &&
      answers.map(({ admissions }) => admissions[0]?.decision)
    );
  });
  expect(decisions).toEqual([
    Decision.ADMITTED,
    Decision.ADMITTED,
    Decision.LIMITED,
    Decision.LIMITED,
  ]);
});

test("remembers a settled answer across a restart of the service", async () => {
  const { redisUrl } = await useParts();
  const first = await startService(redisUrl);
  const idempotency = await eventually(async () => {
    const made = { scope: randomUUID(), key: "alert-1", bodyDigest: new Uint8Array(32) };
    const { scope, key } = made;
    const admitted = await first.client.admit({ items: [{ idempotency: made }] });
    const settlements = [{ scope, key, answer: Buffer.from("ok") }];
    const settled = await first.client.settle({ settlements });
    return !admitted.degraded && !settled.degraded && made; // else Redis was late, and has it not
  });
  await stop(first.child);
  const second = await startService(redisUrl);
  const { admissions } = await eventually(async () => {
    const answer = await second.client.admit({ items: [{ idempotency }] });
    return !answer.degraded && answer;
  });
  expect(admissions[0]?.decision).toBe(Decision.REPLAY);
  expect(Buffer.from(admissions[0]?.answer ?? []).toString()).toBe("ok");
});

test("refuses a request that the protocol does not allow, naming its faults", async () => {
  const { redisUrl } = await useParts();
  const { client } = await startService(redisUrl);
  await expect(client.admit({ items: [{ budgets: [{ key: "a" }] }] })).rejects.toMatchObject({
    code: "invalid_argument",
    reason: "request_invalid",
    faults: [{ pointer: "/items/0/budgets/0/rule" }],
  });
});

test("keeps limits in memory while Redis is gone, says so, and comes back by itself", async () => {
  const { redisUrl } = await useParts();
  await using proxy = await openTcpProxy(redisUrl);
  const { client, lines, readOps } = await startService(proxy.url);
  await eventually(async () => {
    expect((await client.admit(buildRequest())).degraded).toBe(false);
    expect(await readOps("/readyz")).toMatchObject({
      status: 200,
      text: expect.stringContaining('"mode":"redis"'),
    });
  });
  const modesSaid = () =>
    lines.map(({ msg }) => msg).filter((msg) => `${msg}`.startsWith("rate_limit."));
  const saidBefore = modesSaid().length; // Redis may have been late in between
  await proxy.cut();
  const request = buildRequest();
  const decisions: unknown[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const { admissions, degraded } = await client.admit(request);
    decisions.push([admissions[0]?.decision, degraded]);
  }
  expect(decisions).toEqual([
    [Decision.ADMITTED, true],
    [Decision.ADMITTED, true],
    [Decision.LIMITED, true],
  ]);
  expect(await readOps("/readyz")).toMatchObject({
    status: 200,
    text: expect.stringContaining('"mode":"memory"'),
  });
  const metrics = (await readOps("/metrics")).text;
  expect(metrics).toContain(
    'headgate_rate_limit_decisions_total{headgate_rate_limit_decision="limited",headgate_rate_limit_mode="memory"} 1',
  );
  expect(metrics).toContain("headgate_rate_limit_degraded 1");
  await proxy.restore();
  await eventually(async () => {
    expect((await client.admit(buildRequest())).degraded).toBe(false);
  });
  await eventually(() => {
    const said = modesSaid().slice(saidBefore, saidBefore + 2);
    expect(said).toEqual(["rate_limit.degraded", "rate_limit.recovered"]);
  });
});

test("waits for a frozen Redis once, not with each call", async () => {
  const { redisUrl } = await useParts();
  await using proxy = await openTcpProxy(redisUrl);
  const { client } = await startService(proxy.url);
  await eventually(async () => !(await client.admit(buildRequest())).degraded);
  proxy.freeze();
  const waits: number[] = [];
  for (let turn = 0; turn < 30; turn++) {
    const startedMs = performance.now();
    expect((await client.admit(buildRequest())).degraded).toBe(true);
    waits.push(performance.now() - startedMs);
  }
  expect(waits.sort((a, b) => a - b)[15]).toBeLessThan(200); // one that waits takes 250 ms
  await proxy.restore();
  await eventually(async () => {
    expect((await client.admit(buildRequest())).degraded).toBe(false);
  });
});

test("starts without Redis, and ends with 0 after SIGTERM", async () => {
  const { child, client } = await startService("redis://127.0.0.1:1");
  expect((await client.admit(buildRequest())).degraded).toBe(true);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});
