/** The rules: which store judges, and what happens while Redis is away. */
import { AppError } from "@headgate/kit/errors";

/** How a budget is measured. Fixed window: `limit` per `windowMs`. Token bucket: `burst` at once, refilled at `perMinute`. */
export type Rule =
  | { readonly kind: "window"; readonly limit: number; readonly windowMs: number }
  | { readonly kind: "bucket"; readonly perMinute: number; readonly burst: number };

/** A rule and whose it is. */
export type Budget = { readonly key: string; readonly rule: Rule };

/** An idempotency key, as a digest of scope and key, and the digest of the body sent with it (32 bytes). */
export type Claim = { readonly id: string; readonly bodyDigest: Uint8Array };

/** One request that asks to go on. */
export type Ask = { readonly budgets: readonly Budget[]; readonly claim: Claim | undefined };

/** What is left of a budget; `resetMs` until the window ends or the bucket is full, 0 when nothing is taken. */
export type BudgetState = {
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
};

/** The answer to an Ask, in the words of the protocol. */
export type Decision = "admitted" | "limited" | "replay" | "conflict" | "in_progress";

/** The answer to one Ask. `answer` is what was kept, for `replay` only. */
export type Verdict = {
  readonly decision: Decision;
  readonly budgets: readonly BudgetState[];
  readonly retryAfterMs: number;
  readonly answer: Uint8Array | undefined;
};

/**
 * The end of a claimed request: the answer to keep, or undefined to forget the claim. `scope` is the hook or user whose
 * bytes the answer counts against.
 */
export type Settlement = {
  readonly id: string;
  readonly scope: string;
  readonly answer: Uint8Array | undefined;
};

/**
 * Bytes of kept answers: a bucket for each scope and one for all, each refilled once in 24 h, the time an answer is kept.
 * So at most twice these bytes are held at any moment.
 */
export type KeptBytes = { readonly perScope: number; readonly total: number };

/**
 * Where budgets and claims are kept. Each Ask is judged as one step: budgets first, and a refused Ask takes nothing and
 * claims nothing; any other decision counts in all its budgets.
 */
export type Store = {
  /** One verdict per Ask, in order. */
  admit(asks: readonly Ask[]): Promise<Verdict[]>;
  /** One state per budget, in order; takes nothing. */
  peek(budgets: readonly Budget[]): Promise<BudgetState[]>;
  /**
   * Ends claims. A claim that is unknown, expired or settled stays as it is. An answer for which the scope or the store
   * has no bytes left is not kept: its claim is forgotten.
   */
  settle(settlements: readonly Settlement[]): Promise<void>;
};

/** Ms that a claim holds when it is never settled: longer than any request takes. */
export const CLAIM_MS = 30_000;
/** Ms that an answer is kept. */
export const ANSWER_MS = 86_400_000;
/** Bytes of memory that an entry takes besides its answer: its key, the body's digest, and what Redis adds (measured: 230). */
export const ENTRY_BYTES = 256;
/** Ms to wait for a request under way, at most: it usually ends long before its claim does. */
export const IN_PROGRESS_RETRY_MS = 1_000;

/** Where the budgets are kept at the moment. */
export type Mode = "redis" | "memory";

/** The rate-limiter's functions. */
export type RateLimiter = ReturnType<typeof createRateLimiter>;

/**
 * Wires the rules: `store` judges, and whenever it is `unavailable`, `fallback` does with the same rules, for this
 * process alone. Every call tries `store` first, so that it takes over again with its first answer.
 * @param deps.onMode told once per change; the first mode is `redis`
 * @param deps.onDecision told of each verdict
 */
export function createRateLimiter({
  store,
  fallback,
  onMode,
  onDecision,
}: {
  store: Store;
  fallback: Store;
  onMode: (mode: Mode) => void;
  onDecision: (decision: Decision, mode: Mode) => void;
}) {
  let mode: Mode = "redis";
  return {
    admit,
    peek,
    settle,
    /** Where the budgets were kept last. */
    mode: () => mode,
  };

  /** Judges each ask alone. `degraded` when the fallback judged. */
  async function admit(asks: readonly Ask[]) {
    const { result, degraded } = await choose((chosen) => chosen.admit(asks));
    for (const { decision } of result) onDecision(decision, degraded ? "memory" : "redis");
    return { verdicts: result, degraded };
  }

  /** Looks at budgets without taking. */
  async function peek(budgets: readonly Budget[]) {
    const { result, degraded } = await choose((chosen) => chosen.peek(budgets));
    return { states: result, degraded };
  }

  /** Ends claims wherever they were made: a claim made while Redis was away is in the fallback, though Redis is back. */
  async function settle(settlements: readonly Settlement[]) {
    await fallback.settle(settlements);
    const { degraded } = await choose((chosen) => chosen.settle(settlements));
    return { degraded };
  }

  async function choose<T>(work: (chosen: Store) => Promise<T>) {
    try {
      const result = await work(store);
      setMode("redis");
      return { result, degraded: false };
    } catch (thrown) {
      if (AppError.from(thrown).code !== "unavailable") throw thrown;
      setMode("memory");
      return { result: await work(fallback), degraded: true };
    }
  }

  function setMode(next: Mode): void {
    if (next === mode) return;
    mode = next;
    onMode(next);
  }
}
