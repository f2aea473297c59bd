import { expect, test } from "vitest";
import { createMemoryStore } from "./memory-store.ts";
import { ANSWER_MS, CLAIM_MS } from "./service.ts";
import {
  buildAsk,
  buildClaim,
  buildWindow,
  KEPT_BYTES,
  storeSuite,
} from "./testing/store-suite.ts";

/** A memory store whose clock the test moves. */
function openStore() {
  let now = 1_700_000_000_000;
  const store = createMemoryStore({ keptBytes: KEPT_BYTES, now: () => now });
  const pass = async (ms: number) => {
    now += ms;
  };
  return { store, pass };
}

const shared = openStore();
storeSuite(() => shared);

test("lets a claim go after 30 s without an answer", async () => {
  const { store, pass } = openStore();
  const asks = [buildAsk({ claim: buildClaim() })];
  await store.admit(asks);
  await pass(CLAIM_MS - 1);
  expect((await store.admit(asks))[0]?.decision).toBe("in_progress");
  await pass(1);
  expect((await store.admit(asks))[0]?.decision).toBe("admitted");
});

test("keeps an answer for 24 h", async () => {
  const { store, pass } = openStore();
  const claim = buildClaim();
  await store.admit([buildAsk({ claim })]);
  await store.settle([{ id: claim.id, scope: "hook", answer: Buffer.from("kept") }]);
  await pass(ANSWER_MS - 1);
  expect((await store.admit([buildAsk({ claim })]))[0]?.decision).toBe("replay");
  await pass(1);
  expect((await store.admit([buildAsk({ claim })]))[0]?.decision).toBe("admitted");
});

test("pours nothing into a bucket when the clock steps back", async () => {
  const { store, pass } = openStore();
  const budgets = [{ key: "hook", rule: { kind: "bucket", perMinute: 60, burst: 2 } as const }];
  await store.admit([buildAsk({ budgets })]);
  await pass(-10_000);
  await store.admit([buildAsk({ budgets })]);
  await pass(10_000);
  expect((await store.admit([buildAsk({ budgets })]))[0]?.decision).toBe("limited");
});

test("forgets the budget used longest ago when it holds 100,000", async () => {
  const { store } = openStore();
  const first = buildWindow(1);
  await store.admit([buildAsk({ budgets: [first] })]);
  await store.admit(Array.from({ length: 99_999 }, () => buildAsk({ budgets: [buildWindow(1)] })));
  expect((await store.peek([first]))[0]?.remaining).toBe(0);
  await store.admit([buildAsk({ budgets: [buildWindow(1)] })]);
  expect((await store.peek([first]))[0]?.remaining).toBe(1);
});

test("gives a scope its bytes back over the 24 h that answers are kept", async () => {
  const { store, pass } = openStore();
  const settle = async (count: number) => {
    const claims = Array.from({ length: count }, () => buildClaim());
    const asks = claims.map((claim) => buildAsk({ claim }));
    await store.admit(asks);
    const answer = Buffer.alloc(4_096);
    await store.settle(claims.map(({ id }) => ({ id, scope: "hook", answer })));
    const verdicts = await store.admit(asks);
    return verdicts.filter(({ decision }) => decision === "replay").length;
  };
  expect(await settle(17)).toBe(16);
  await pass(ANSWER_MS / 2);
  expect(await settle(17)).toBe(8);
});

test("keeps no more answers of all scopes together than the total allows", async () => {
  const store = createMemoryStore({ keptBytes: { perScope: 10_000, total: 10_000 } });
  const claims = Array.from({ length: 3 }, () => buildClaim());
  const asks = claims.map((claim) => buildAsk({ claim }));
  await store.admit(asks);
  const answer = Buffer.alloc(4_096);
  await store.settle(claims.map(({ id }) => ({ id, scope: id, answer })));
  const verdicts = await store.admit(asks);
  expect(verdicts.map(({ decision }) => decision)).toEqual(["replay", "replay", "admitted"]);
});

test("forgets the oldest claims when they take more than 32 MiB together", async () => {
  const { store } = openStore();
  const claims = Array.from({ length: 7_711 }, () => buildClaim());
  await store.admit(claims.map((claim) => buildAsk({ claim })));
  const answer = Buffer.alloc(4_096);
  await store.settle(claims.map(({ id }) => ({ id, scope: id, answer })));
  const asks = [claims[1], claims[0]].map((claim) => buildAsk({ claim }));
  const verdicts = await store.admit(asks);
  expect(verdicts.map(({ decision }) => decision)).toEqual(["replay", "admitted"]);
});
