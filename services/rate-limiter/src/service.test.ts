import { AppError } from "@headgate/kit/errors";
import { expect, test } from "vitest";
import { createMemoryStore } from "./memory-store.ts";
import { createRateLimiter, type Store } from "./service.ts";
import { buildAsk, buildClaim, buildWindow, KEPT_BYTES } from "./testing/store-suite.ts";

/** A rate-limiter whose Redis the test switches off and on. */
function openLimiter() {
  const kept = createMemoryStore({ keptBytes: KEPT_BYTES });
  const heard: string[] = [];
  const redis = { away: false as boolean | "broken" };
  const store: Store = {
    admit: async (asks) => reach().admit(asks),
    peek: async (budgets) => reach().peek(budgets),
    settle: async (settlements) => reach().settle(settlements),
  };
  const limiter = createRateLimiter({
    store,
    fallback: createMemoryStore({ keptBytes: KEPT_BYTES }),
    onMode: (mode) => heard.push(mode),
    onDecision: (decision, mode) => heard.push(`${decision} ${mode}`),
  });
  return { limiter, redis, heard };

  function reach(): Store {
    if (redis.away === "broken") throw new Error("a fault of ours");
    if (redis.away) throw new AppError("unavailable", "redis_unavailable", "away");
    return kept;
  }
}

test("judges with Redis while it is there", async () => {
  const { limiter, heard } = openLimiter();
  expect((await limiter.admit([buildAsk()])).degraded).toBe(false);
  expect(heard).toEqual(["admitted redis"]);
  expect(limiter.mode()).toBe("redis");
});

test("keeps the same limits in memory while Redis is away, and says so once", async () => {
  const { limiter, redis, heard } = openLimiter();
  redis.away = true;
  const asks = [buildAsk({ budgets: [buildWindow(1)] })];
  expect(await limiter.admit(asks)).toMatchObject({
    degraded: true,
    verdicts: [{ decision: "admitted" }],
  });
  expect(await limiter.admit(asks)).toMatchObject({
    degraded: true,
    verdicts: [{ decision: "limited" }],
  });
  expect(heard).toEqual(["memory", "admitted memory", "limited memory"]);
});

test("goes back to Redis with its first answer", async () => {
  const { limiter, redis, heard } = openLimiter();
  redis.away = true;
  expect((await limiter.peek([buildWindow(1)])).degraded).toBe(true);
  redis.away = false;
  expect((await limiter.peek([buildWindow(1)])).degraded).toBe(false);
  expect(heard).toEqual(["memory", "redis"]);
});

test("settles a claim where it was made, though Redis came back in between", async () => {
  const { limiter, redis } = openLimiter();
  const claim = buildClaim();
  redis.away = true;
  await limiter.admit([buildAsk({ claim })]);
  redis.away = false;
  const answer = Buffer.from("kept");
  expect(await limiter.settle([{ id: claim.id, scope: "hook", answer }])).toEqual({
    degraded: false,
  });
  redis.away = true;
  const { verdicts } = await limiter.admit([buildAsk({ claim })]);
  expect(verdicts[0]).toMatchObject({ decision: "replay", answer });
});

test("does not hide a fault of ours behind the memory", async () => {
  const { limiter, redis } = openLimiter();
  redis.away = "broken";
  await expect(limiter.admit([buildAsk()])).rejects.toThrow("a fault of ours");
  expect(limiter.mode()).toBe("redis");
});
