/** The rate limit: the budget of a hook, and how a budget's state is shown. */
import type { Admission, Budget, Hook } from "../../dialect.ts";
import { hookBudgetKey } from "../../ingest/rate-limit.ts";

/** Requests in a window. Monotree, Rate Limiting: 60 a minute, counted per webhook. */
const LIMIT = 60;
const WINDOW_SECONDS = 60;

/** The budget of a hook. */
export function budgetOf(hook: Hook): Budget {
  const limit = hook.record.limits?.perMinute || LIMIT; // 0 is protobuf's "not set"
  return {
    key: hookBudgetKey(hook),
    rule: { case: "fixedWindow", value: { limit, windowSeconds: WINDOW_SECONDS } },
  };
}

/** The headers that show a budget. Without a state (the rate-limiter is away) it looks untouched. */
export function budgetHeaders(
  { rule }: Budget,
  states: Admission["budgets"],
  now: Date,
): Record<string, string> {
  const whole = rule.case === "fixedWindow" ? rule.value.limit : rule.value.burst;
  const { limit, remaining, resetMs } = states[0] ?? { limit: whole, remaining: whole, resetMs: 0 };
  const untilReset = Math.ceil(resetMs / 1000);
  return {
    "X-RateLimit-Limit": String(limit),
    "X-RateLimit-Remaining": String(remaining),
    "X-RateLimit-Reset": String(Math.ceil((now.getTime() + resetMs) / 1000)),
    "RateLimit-Policy": `"default";q=${limit};w=${WINDOW_SECONDS}`,
    RateLimit: `"default";r=${remaining};t=${untilReset}`,
  };
}
