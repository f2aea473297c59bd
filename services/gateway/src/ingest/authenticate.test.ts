import { createId } from "@headgate/kit/ids";
import { expect, test } from "vitest";
import type { Admission, Budget, Hook } from "../dialect.ts";
import { createAuthenticate } from "./authenticate.ts";

const HOOK = { record: { id: createId() } } as Hook; // nothing of it is looked at
const CLIENT = { source: "192.0.2.1" };

/** Budgets of 600, counted as the rate limiter does; the clock moves by hand. */
function open() {
  let nowMs = 0;
  const counts = new Map<string, number>();
  const calls = { peek: 0, admit: 0, ask: 0 };
  const limitOf = ({ rule }: Budget) => (rule.case === "fixedWindow" ? rule.value.limit : 0);
  const stateOf = (budget: Budget) => {
    const limit = limitOf(budget);
    return { limit, remaining: limit - (counts.get(budget.key) ?? 0), resetMs: 60_000 };
  };
  const authenticate = createAuthenticate({
    now: () => nowMs,
    lookup: {
      known: (_dialect, credential) => (credential === "known" ? HOOK : "undecided"),
      ask: async (_dialect, credential) => {
        calls.ask += 1;
        return credential === "new" ? HOOK : undefined;
      },
    },
    rateLimit: {
      async peek(budgets) {
        calls.peek += 1;
        return budgets.map(stateOf);
      },
      async admit(budgets): Promise<Admission> {
        calls.admit += 1;
        const isLimited = budgets.some((budget) => stateOf(budget).remaining <= 0);
        if (!isLimited) for (const { key } of budgets) counts.set(key, (counts.get(key) ?? 0) + 1);
        return {
          decision: isLimited ? "limited" : "admitted",
          budgets: budgets.map(stateOf),
          retryAfterMs: isLimited ? 60_000 : 0,
          answer: new Uint8Array(),
        };
      },
    },
  });
  return {
    authenticate,
    calls,
    counts,
    pass(ms: number) {
      nowMs += ms;
      counts.clear();
    },
  };
}

test("a known hook is found at once and costs no call", () => {
  const { authenticate, calls } = open();
  expect(authenticate("headgate", "known", CLIENT)).toEqual({ hook: HOOK });
  expect(calls).toEqual({ peek: 0, admit: 0, ask: 0 });
});

test("a hook that only the registry knows is not counted as unknown", async () => {
  const { authenticate, counts } = open();
  expect(await authenticate("headgate", "new", CLIENT)).toEqual({ hook: HOOK });
  expect(counts.size).toBe(0);
});

test("a client address over its budget costs no call, neither to the registry nor to the rate limiter", async () => {
  const { authenticate, calls, pass } = open();
  for (let at = 0; at < 601; at++) await authenticate("headgate", `${at}`, CLIENT);
  expect(calls).toEqual({ peek: 601, admit: 601, ask: 600 });
  for (let at = 0; at < 100; at++) {
    const found = await authenticate("headgate", `more ${at}`, CLIENT);
    expect(found).toMatchObject({ hook: undefined, admission: { decision: "limited" } });
  }
  expect(calls).toEqual({ peek: 601, admit: 601, ask: 600 });
  expect(await authenticate("headgate", "known", CLIENT)).toEqual({ hook: HOOK });
  pass(60_001);
  const later = await authenticate("headgate", "later", CLIENT);
  expect(later).toMatchObject({ admission: { decision: "admitted" } });
});

test("credentials without the form of one are counted, and the registry is not asked for them", async () => {
  const { authenticate, calls, counts } = open();
  await authenticate("mattermost", undefined, CLIENT);
  expect([calls.ask, counts.get("source:mattermost:192.0.2.1")]).toEqual([0, 1]);
});

test("addresses of one IPv6 /64 share a budget in every dialect", async () => {
  const { authenticate, counts } = open();
  for (const dialect of ["headgate", "mattermost", "monotree"]) {
    for (const source of ["2001:db8:1:2::1", "2001:db8:1:2:3::4"]) {
      await authenticate(dialect, "x", { source });
    }
    expect(counts.get(`source:${dialect}:2001:db8:1:2:/64`)).toBe(2);
  }
});
