/** The store in this process's memory, for the time Redis is away. Bounded: what was used longest ago is forgotten. */

import { createBoundedMap } from "./bounded-map.ts";
import { budgetName, type Kept, look, take } from "./budgets.ts";
import {
  ANSWER_MS,
  type Ask,
  CLAIM_MS,
  type Claim,
  ENTRY_BYTES,
  IN_PROGRESS_RETRY_MS,
  type KeptBytes,
  type Settlement,
  type Store,
  type Verdict,
} from "./service.ts";

/** Budgets kept at most; about 20 MB. A forgotten one starts afresh. */
const BUDGETS_MAX = 100_000;
/** Bytes of claims and answers kept at most, as ENTRY_BYTES counts them; 131,072 claims without an answer. */
const CLAIM_BYTES_MAX = 32 * 1024 * 1024;
/** Scopes whose kept bytes are counted at most. A forgotten one starts with all its bytes. */
const SCOPES_MAX = 50_000;
/** The largest wait the protocol can say, uint32. */
const UINT32_MAX = 4_294_967_295;

type KeptClaim = {
  readonly bodyDigest: Uint8Array;
  readonly answer: Uint8Array | undefined;
  readonly endsAt: number;
};

type KeptLevel = { readonly level: number; readonly at: number };

/** Makes the store. `now` is a clock in whole ms that never steps back. */
export function createMemoryStore({
  keptBytes,
  now = () => Math.floor(performance.now()),
}: {
  keptBytes: KeptBytes;
  now?: () => number;
}): Store {
  const budgets = createBoundedMap<Kept>({ sizeMax: BUDGETS_MAX });
  const claims = createBoundedMap<KeptClaim>({
    weigh: ({ answer }) => ENTRY_BYTES + (answer?.length ?? 0),
    weightMax: CLAIM_BYTES_MAX,
  });
  const levels = createBoundedMap<KeptLevel>({ sizeMax: SCOPES_MAX });
  let totalLevel: KeptLevel | undefined;
  return {
    async admit(asks) {
      return asks.map(admit);
    },
    async peek(asked) {
      const at = now();
      return asked.map((budget) => {
        const { state } = look(budget.rule, budgets.get(budgetName(budget)), at);
        return { ...state, resetMs: clamp(state.resetMs) };
      });
    },
    async settle(settlements) {
      settlements.forEach(settle);
    },
  };

  function admit(ask: Ask): Verdict {
    const at = now();
    const seen = ask.budgets.map((budget) => {
      const name = budgetName(budget);
      const kept = budgets.get(name);
      return { name, kept, rule: budget.rule, ...look(budget.rule, kept, at) };
    });
    if (!seen.every(({ hasRoom }) => hasRoom)) {
      return {
        decision: "limited",
        retryAfterMs: clamp(Math.max(...seen.map(({ waitMs }) => waitMs))),
        budgets: seen.map(({ state }) => ({ ...state, resetMs: clamp(state.resetMs) })),
        answer: undefined,
      };
    }
    const states = seen.map(({ name, kept, rule }) => {
      const taken = take(rule, kept, at);
      budgets.set(name, taken);
      const { state } = look(rule, taken, at);
      return { ...state, resetMs: clamp(state.resetMs) };
    });
    const verdict = { budgets: states, retryAfterMs: 0, answer: undefined };
    return ask.claim
      ? { ...verdict, ...claim(ask.claim, at) }
      : { ...verdict, decision: "admitted" };
  }

  function claim(asked: Claim, at: number): Pick<Verdict, "decision"> & Partial<Verdict> {
    const kept = getClaim(asked.id, at);
    if (!kept) {
      const { id, bodyDigest } = asked;
      claims.set(id, { bodyDigest, answer: undefined, endsAt: at + CLAIM_MS });
      return { decision: "admitted" };
    }
    if (Buffer.compare(kept.bodyDigest, asked.bodyDigest) !== 0) return { decision: "conflict" };
    if (kept.answer) return { decision: "replay", answer: kept.answer };
    return {
      decision: "in_progress",
      retryAfterMs: Math.max(1, Math.min(IN_PROGRESS_RETRY_MS, kept.endsAt - at)),
    };
  }

  function settle({ id, scope, answer }: Settlement): void {
    const at = now();
    const kept = getClaim(id, at);
    if (!kept || kept.answer) return;
    if (answer && takeBytes(scope, ENTRY_BYTES + answer.length, at)) {
      claims.set(id, { ...kept, answer, endsAt: at + ANSWER_MS });
    } else {
      claims.delete(id);
    }
  }

  /** Takes bytes from the scope and from the total, or from neither; the script `SETTLE` says the same. */
  function takeBytes(scope: string, cost: number, at: number): boolean {
    const mine = refill(levels.get(scope), keptBytes.perScope, at) - cost;
    const all = refill(totalLevel, keptBytes.total, at) - cost;
    if (mine < 0 || all < 0) return false;
    levels.set(scope, { level: mine, at });
    totalLevel = { level: all, at };
    return true;
  }

  function getClaim(id: string, at: number): KeptClaim | undefined {
    const kept = claims.get(id);
    return kept && kept.endsAt > at ? kept : undefined;
  }
}

/** Bytes left in a bucket that is refilled once in the time that answers are kept. */
function refill(kept: KeptLevel | undefined, full: number, at: number): number {
  if (!kept) return full;
  return Math.min(full, kept.level + (Math.max(0, at - kept.at) * full) / ANSWER_MS);
}

function clamp(ms: number): number {
  return Math.min(UINT32_MAX, ms);
}
