/** The budget that a hook's owner set. */
import type { Budget, Hook } from "../dialect.ts";

const NONE: readonly Budget[] = [];

/** Names the budget of a hook. */
export function hookBudgetKey({ record }: Hook): string {
  return `hook:${record.id}`;
}

/** The budgets that a request of a hook takes from: a bucket where its owner set limits, else none. */
export function hookBudgets(hook: Hook): readonly Budget[] {
  const { limits } = hook.record;
  if (limits === undefined) return NONE;
  const { perMinute, burst } = limits;
  return [{ key: hookBudgetKey(hook), rule: { case: "tokenBucket", value: { perMinute, burst } } }];
}
