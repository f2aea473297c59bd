/**
 * The hook behind a credential. A known one costs nothing. An unknown one is paid for by the client address: its budget is
 * looked at before the registry is asked, so that an address over its budget costs no call.
 */
import type { Admission, Budget, Hook, HookRequest } from "../dialect.ts";
import { sourceKey } from "../source.ts";
import type { HookLookup } from "./hook-lookup.ts";

/** Who pays for an unknown credential. */
type Client = Pick<HookRequest, "source">;

/** A hook, or the budget of the client address after this request: `limited` when it was used up before. */
export type Authentication =
  | { readonly hook: Hook }
  | { readonly hook: undefined; readonly budget: Budget; readonly admission: Admission };

/**
 * Answers at once for hooks that are known.
 * @param credential undefined: what was sent has not the form of one, and counts as an unknown one
 * @throws AppError unavailable when the registry cannot say now
 */
export type Authenticate = (
  dialect: string,
  credential: string | undefined,
  client: Client,
) => Authentication | Promise<Authentication>;

/** What it is made of. */
type Deps = {
  lookup: HookLookup;
  rateLimit: {
    admit(budgets: readonly Budget[]): Promise<Admission>;
    peek(budgets: readonly Budget[]): Promise<Admission["budgets"]>;
  };
  /** A clock in ms that never steps. */
  now?: () => number;
};

/** Requests with unknown credentials that one client address may make in a minute, by dialect. */
const PER_MINUTE: Readonly<Record<string, number>> = {
  // Monotree, section 1.1: unknown tokens share one bucket per client address, 60 a minute.
  monotree: 60,
};
/** Elsewhere: enough for a mistake, too few to guess. */
const PER_MINUTE_OTHERWISE = 600;
const WINDOW_SECONDS = 60;
/** Budgets remembered as used up; beyond it the rate limiter is asked again. */
const EXHAUSTED_MAX = 10_000;

/** The budget of a client address for unknown credentials. */
function unknownBudget(dialect: string, { source }: Client): Budget {
  const limit = PER_MINUTE[dialect] ?? PER_MINUTE_OTHERWISE;
  return {
    key: `source:${dialect}:${sourceKey(source)}`,
    rule: { case: "fixedWindow", value: { limit, windowSeconds: WINDOW_SECONDS } },
  };
}

/** Wires it. */
export function createAuthenticate({
  lookup,
  rateLimit,
  now = () => performance.now(),
}: Deps): Authenticate {
  const exhausted = new Map<string, number>();

  return function authenticate(dialect, credential, client) {
    if (credential === undefined) return refuse(unknownBudget(dialect, client));
    const known = lookup.known(dialect, credential);
    if (typeof known === "object") return { hook: known };
    const budget = unknownBudget(dialect, client);
    if (known === "absent") return refuse(budget);
    return find(dialect, credential, client, budget);
  };

  async function find(
    dialect: string,
    credential: string,
    { source }: Client,
    budget: Budget,
  ): Promise<Authentication> {
    if (isExhausted(budget)) return refuse(budget);
    const [state] = await rateLimit.peek([budget]);
    const left = state?.remaining ?? Number.POSITIVE_INFINITY;
    if (left > 0) {
      const hook = await lookup.ask(dialect, credential, sourceKey(source), left);
      if (hook) return { hook };
    }
    return refuse(budget);
  }

  /** Takes one from the budget, or says that there is none. */
  async function refuse(budget: Budget): Promise<Authentication> {
    const untilMs = exhausted.get(budget.key) ?? 0;
    const leftMs = Math.ceil(untilMs - now());
    if (leftMs > 0) return { hook: undefined, budget, admission: limitedFor(budget, leftMs) };
    const admission = await rateLimit.admit([budget]);
    if (admission.decision === "limited") {
      if (exhausted.size >= EXHAUSTED_MAX) exhausted.clear();
      exhausted.set(budget.key, now() + admission.retryAfterMs);
    } else if (untilMs > 0) {
      exhausted.delete(budget.key);
    }
    return { hook: undefined, budget, admission };
  }

  function isExhausted({ key }: Budget): boolean {
    return (exhausted.get(key) ?? 0) > now();
  }
}

function limitedFor({ rule }: Budget, ms: number): Admission {
  const limit = rule.case === "fixedWindow" ? rule.value.limit : rule.value.burst;
  return {
    decision: "limited",
    budgets: [{ limit, remaining: 0, resetMs: ms }],
    retryAfterMs: ms,
    answer: new Uint8Array(),
  };
}
