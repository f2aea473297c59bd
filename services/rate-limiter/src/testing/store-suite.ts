/** What every store must do; the one in memory and the one in Redis pass the same suite. */
import { randomBytes, randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Ask, Budget, Claim, KeptBytes, Store } from "../service.ts";

/** What a suite runs against: a store, and a way to let time pass, which may really wait. */
export type Opened = { store: Store; pass: (ms: number) => Promise<void> };

/** Room for 16 answers of 4 KiB in each scope, and for ten thousand in all. */
export const KEPT_BYTES: KeptBytes = { perScope: 69_632, total: 43_520_000 };

/** A fixed window of its own. */
export function buildWindow(limit: number, windowMs = 60_000, key: string = randomUUID()): Budget {
  return { key, rule: { kind: "window", limit, windowMs } };
}

/** A token bucket of its own. */
export function buildBucket(perMinute: number, burst: number, key: string = randomUUID()): Budget {
  return { key, rule: { kind: "bucket", perMinute, burst } };
}

/** A claim of its own. */
export function buildClaim(claim: Partial<Claim> = {}): Claim {
  return { id: randomUUID(), bodyDigest: randomBytes(32), ...claim };
}

/** An ask; without overrides it asks for nothing. */
export function buildAsk(ask: Partial<Ask> = {}): Ask {
  return { budgets: [], claim: undefined, ...ask };
}

/** Registers the tests. They share the store and keep apart by key. */
export function storeSuite(open: () => Promise<Opened> | Opened): void {
  /** Asks once. */
  async function ask(store: Store, given: Partial<Ask>) {
    const [verdict] = await store.admit([buildAsk(given)]);
    if (!verdict) throw new Error("no verdict");
    return verdict;
  }

  test("admits what asks for nothing", async () => {
    const { store } = await open();
    expect(await ask(store, {})).toEqual({
      decision: "admitted",
      budgets: [],
      retryAfterMs: 0,
      answer: undefined,
    });
  });

  test("admits as many as a window holds and tells what remains", async () => {
    const { store } = await open();
    const window = buildWindow(3);
    const remaining: unknown[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const { decision, budgets } = await ask(store, { budgets: [window] });
      remaining.push([decision, budgets[0]?.limit, budgets[0]?.remaining]);
    }
    expect(remaining).toEqual([
      ["admitted", 3, 2],
      ["admitted", 3, 1],
      ["admitted", 3, 0],
      ["limited", 3, 0],
    ]);
  });

  test("opens a window with the first counted request and never extends it", async () => {
    const { store, pass } = await open();
    const window = buildWindow(1, 5_000);
    const first = await ask(store, { budgets: [window] });
    expect(first.budgets[0]?.resetMs).toBeGreaterThan(4_900);
    await pass(500);
    const refused = await ask(store, { budgets: [window] });
    expect(refused.decision).toBe("limited");
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(4_500);
    expect(refused.budgets[0]?.resetMs).toBe(refused.retryAfterMs);
    await pass(refused.retryAfterMs + 5);
    expect((await ask(store, { budgets: [window] })).decision).toBe("admitted");
  });

  test("applies a window's new limit to what is counted already", async () => {
    const { store } = await open();
    const key = randomUUID();
    for (let turn = 0; turn < 3; turn++) {
      await ask(store, { budgets: [buildWindow(10, 60_000, key)] });
    }
    const lowered = await ask(store, { budgets: [buildWindow(2, 60_000, key)] });
    expect([lowered.decision, lowered.budgets[0]?.remaining]).toEqual(["limited", 0]);
    expect((await ask(store, { budgets: [buildWindow(4, 60_000, key)] })).decision).toBe(
      "admitted",
    );
  });

  test("keeps windows of one key but other lengths apart", async () => {
    const { store } = await open();
    const key = randomUUID();
    const budgets = [buildWindow(5, 60_000, key), buildWindow(9, 3_600_000, key)];
    const verdict = await ask(store, { budgets });
    expect(verdict.budgets.map(({ remaining }) => remaining)).toEqual([4, 8]);
  });

  test("lets a bucket's burst through at once and then its rate", async () => {
    const { store, pass } = await open();
    const bucket = buildBucket(20, 3); // one each 3 s
    const burst = await store.admit(
      Array.from({ length: 4 }, () => buildAsk({ budgets: [bucket] })),
    );
    expect(burst.map(({ decision }) => decision)).toEqual([
      "admitted",
      "admitted",
      "admitted",
      "limited",
    ]);
    const wait = burst[3]?.retryAfterMs ?? 0;
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(3_000);
    await pass(wait + 5);
    const later = await store.admit([
      buildAsk({ budgets: [bucket] }),
      buildAsk({ budgets: [bucket] }),
    ]);
    expect(later.map(({ decision }) => decision)).toEqual(["admitted", "limited"]);
  });

  test("fills a bucket no further than its burst", async () => {
    const { store, pass } = await open();
    const bucket = buildBucket(6_000, 2); // one each 10 ms
    await ask(store, { budgets: [bucket] });
    await pass(100);
    const [state] = await store.peek([bucket]);
    expect(state).toEqual({ limit: 2, remaining: 2, resetMs: 0 });
  });

  test("tells how long a bucket takes to fill", async () => {
    const { store } = await open();
    const { budgets } = await ask(store, { budgets: [buildBucket(60, 10)] });
    expect(budgets[0]).toEqual({ limit: 10, remaining: 9, resetMs: 1_000 });
  });

  test("measures the slowest and the largest bucket without loss", async () => {
    const { store } = await open();
    const slow = await ask(store, { budgets: [buildBucket(1, 1_000_000)] });
    expect(slow.budgets[0]).toEqual({ limit: 1_000_000, remaining: 999_999, resetMs: 60_000 });
    const fast = await ask(store, { budgets: [buildBucket(60_000_000, 1)] });
    expect(fast.budgets[0]).toEqual({ limit: 1, remaining: 0, resetMs: 1 });
  });

  test("takes from all budgets or from none", async () => {
    const { store } = await open();
    const [wide, narrow, bucket] = [buildWindow(10), buildWindow(1), buildBucket(60, 10)];
    await ask(store, { budgets: [narrow] });
    const refused = await ask(store, { budgets: [wide, bucket, narrow] });
    expect(refused.decision).toBe("limited");
    expect(refused.budgets.map(({ remaining }) => remaining)).toEqual([10, 10, 0]);
    const states = await store.peek([wide, bucket, narrow]);
    expect(states.map(({ remaining }) => remaining)).toEqual([10, 10, 0]);
  });

  test("tells the longest wait of the budgets that refuse", async () => {
    const { store } = await open();
    const [short, long] = [buildWindow(1, 5_000), buildWindow(1, 50_000)];
    await ask(store, { budgets: [short, long] });
    const { retryAfterMs } = await ask(store, { budgets: [short, long] });
    expect(retryAfterMs).toBeGreaterThan(40_000);
  });

  test("admits exactly as many as there is room for when many ask at once", async () => {
    const { store } = await open();
    const [minute, day] = [buildWindow(50), buildWindow(70, 3_600_000)];
    const calls = Array.from({ length: 8 }, () =>
      store.admit(Array.from({ length: 20 }, () => buildAsk({ budgets: [minute, day] }))),
    );
    const verdicts = (await Promise.all(calls)).flat();
    expect(verdicts.filter(({ decision }) => decision === "admitted")).toHaveLength(50);
    const [, left] = await store.peek([minute, day]);
    expect(left?.remaining).toBe(20);
  });

  test("peeks without taking, also at what was never taken from", async () => {
    const { store } = await open();
    const [window, bucket] = [buildWindow(3), buildBucket(60, 5)];
    const untouched = [
      { limit: 3, remaining: 3, resetMs: 0 },
      { limit: 5, remaining: 5, resetMs: 0 },
    ];
    expect(await store.peek([window, bucket])).toEqual(untouched);
    expect(await store.peek([window, bucket])).toEqual(untouched);
  });

  test("lets the first of a key through and holds the others until it is settled", async () => {
    const { store } = await open();
    const claim = buildClaim();
    expect((await ask(store, { claim })).decision).toBe("admitted");
    const second = await ask(store, { claim });
    expect(second.decision).toBe("in_progress");
    expect(second.retryAfterMs).toBeGreaterThan(0);
    expect(second.retryAfterMs).toBeLessThanOrEqual(1_000);
  });

  test("replays the kept answer, byte for byte", async () => {
    const { store } = await open();
    const claim = buildClaim();
    const answer = Buffer.concat([randomBytes(1_000), Buffer.from([0, 255, 13, 10, 0])]);
    await ask(store, { claim });
    await store.settle([{ id: claim.id, scope: claim.id, answer }]);
    const replay = await ask(store, { claim });
    expect(replay.decision).toBe("replay");
    expect(Buffer.from(replay.answer ?? []).equals(answer)).toBe(true);
  });

  test("keeps an answer of 4 KiB", async () => {
    const { store } = await open();
    const claim = buildClaim();
    await ask(store, { claim });
    await store.settle([{ id: claim.id, scope: claim.id, answer: randomBytes(4_096) }]);
    expect((await ask(store, { claim })).answer).toHaveLength(4_096);
  });

  test("keeps no more answers of a scope than its bytes allow, and forgets the claims of the others", async () => {
    const { store } = await open();
    const scope = randomUUID();
    const claims = Array.from({ length: 20 }, () => buildClaim());
    await store.admit(claims.map((claim) => buildAsk({ claim })));
    for (const { id } of claims) await store.settle([{ id, scope, answer: randomBytes(4_096) }]);
    const verdicts = await store.admit(claims.map((claim) => buildAsk({ claim })));
    const decisions = verdicts.map(({ decision }) => decision);
    expect(decisions).toEqual([...Array(16).fill("replay"), ...Array(4).fill("admitted")]);
  });

  test("keeps the answers of one scope while another has used up its bytes", async () => {
    const { store } = await open();
    const [full, quiet] = [randomUUID(), randomUUID()];
    const claims = Array.from({ length: 18 }, () => buildClaim());
    await store.admit(claims.map((claim) => buildAsk({ claim })));
    for (const { id } of claims.slice(0, 17)) {
      await store.settle([{ id, scope: full, answer: randomBytes(4_096) }]);
    }
    const last = claims[17] ?? buildClaim();
    await store.settle([{ id: last.id, scope: quiet, answer: Buffer.from("kept") }]);
    expect((await ask(store, { claim: last })).decision).toBe("replay");
  });

  test("takes no bytes for claims that are forgotten or settled a second time", async () => {
    const { store } = await open();
    const scope = randomUUID();
    const answer = randomBytes(4_096);
    const kept = buildClaim();
    await ask(store, { claim: kept });
    for (let turn = 0; turn < 20; turn++) {
      const claim = buildClaim();
      await ask(store, { claim });
      await store.settle([{ id: claim.id, scope, answer: undefined }]);
      await store.settle([{ id: kept.id, scope, answer }]);
    }
    const claims = Array.from({ length: 15 }, () => buildClaim());
    await store.admit(claims.map((claim) => buildAsk({ claim })));
    for (const { id } of claims) await store.settle([{ id, scope, answer }]);
    const verdicts = await store.admit(claims.map((claim) => buildAsk({ claim })));
    expect(verdicts.every(({ decision }) => decision === "replay")).toBe(true);
  });

  test("answers conflict to another body under a key, whether answered or not", async () => {
    const { store } = await open();
    const claim = buildClaim();
    const other = buildClaim({ id: claim.id });
    await ask(store, { claim });
    expect((await ask(store, { claim: other })).decision).toBe("conflict");
    await store.settle([{ id: claim.id, scope: claim.id, answer: Buffer.from("kept") }]);
    expect((await ask(store, { claim: other })).decision).toBe("conflict");
  });

  test("starts afresh after a claim was forgotten, with any body", async () => {
    const { store } = await open();
    const claim = buildClaim();
    await ask(store, { claim });
    await store.settle([{ id: claim.id, scope: claim.id, answer: undefined }]);
    const other = buildClaim({ id: claim.id });
    expect((await ask(store, { claim: other })).decision).toBe("admitted");
  });

  test("keeps the first answer when a claim is settled twice", async () => {
    const { store } = await open();
    const claim = buildClaim();
    await ask(store, { claim });
    await store.settle([{ id: claim.id, scope: claim.id, answer: Buffer.from("first") }]);
    await store.settle([
      { id: claim.id, scope: claim.id, answer: Buffer.from("second") },
      { id: claim.id, scope: claim.id, answer: undefined },
    ]);
    expect(Buffer.from((await ask(store, { claim })).answer ?? []).toString()).toBe("first");
  });

  test("settles an unknown claim without effect", async () => {
    const { store } = await open();
    const claim = buildClaim();
    await store.settle([{ id: claim.id, scope: claim.id, answer: Buffer.from("nobody asked") }]);
    expect((await ask(store, { claim })).decision).toBe("admitted");
  });

  test("claims nothing when a budget refuses", async () => {
    const { store } = await open();
    const [window, claim] = [buildWindow(1), buildClaim()];
    await ask(store, { budgets: [window] });
    expect((await ask(store, { budgets: [window], claim })).decision).toBe("limited");
    expect((await ask(store, { claim })).decision).toBe("admitted");
  });

  test("counts replays, conflicts and requests in progress in all budgets", async () => {
    const { store } = await open();
    const [window, bucket, claim] = [buildWindow(5), buildBucket(1, 9), buildClaim()];
    const budgets = [window, bucket];
    await ask(store, { budgets, claim });
    await ask(store, { budgets, claim });
    await ask(store, { budgets, claim: buildClaim({ id: claim.id }) });
    await store.settle([{ id: claim.id, scope: claim.id, answer: Buffer.from("kept") }]);
    const replay = await ask(store, { budgets, claim });
    expect(replay.decision).toBe("replay");
    expect(replay.budgets.map(({ remaining }) => remaining)).toEqual([1, 5]);
  });

  test("lets one of many with the same new key through when all ask at once", async () => {
    const { store } = await open();
    const claim = buildClaim();
    const asks = Array.from({ length: 20 }, () => store.admit([buildAsk({ claim })]));
    const decisions = (await Promise.all(asks)).flat().map(({ decision }) => decision);
    expect(decisions.filter((decision) => decision === "admitted")).toHaveLength(1);
    expect(decisions.filter((decision) => decision === "in_progress")).toHaveLength(19);
  });
}
