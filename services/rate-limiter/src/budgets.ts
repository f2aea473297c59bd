/**
 * The arithmetic of budgets, for the memory store. `script.ts` says the same in Lua; one suite holds both to it.
 * A bucket's level is counted in 1/60,000 tokens, so that `perMinute` of them flow in each ms and all sums are whole.
 */
import type { BudgetState, Rule } from "./service.ts";

/** Parts of one token. */
export const TOKEN_PARTS = 60_000;

/** What is kept of a budget: a window's count and end, or a bucket's level at a time. Times in ms. */
export type Kept =
  | { readonly kind: "window"; readonly count: number; readonly endsAt: number }
  | { readonly kind: "bucket"; readonly level: number; readonly at: number };

/** A budget at a moment: whether it has room for one more, and if not, the ms until it has. */
export type Look = {
  readonly hasRoom: boolean;
  readonly waitMs: number;
  readonly state: BudgetState;
};

/** Looks at a budget; `kept` is undefined when nothing was ever taken. */
export function look(rule: Rule, kept: Kept | undefined, now: number): Look {
  if (rule.kind === "window") {
    const open = kept?.kind === "window" && kept.endsAt > now ? kept : undefined;
    const count = open?.count ?? 0;
    const resetMs = open ? open.endsAt - now : 0;
    const remaining = Math.max(0, rule.limit - count);
    return {
      hasRoom: remaining > 0,
      waitMs: remaining > 0 ? 0 : resetMs,
      state: { limit: rule.limit, remaining, resetMs },
    };
  }
  const level = levelNow(rule, kept, now);
  const missing = TOKEN_PARTS - level;
  return {
    hasRoom: missing <= 0,
    waitMs: Math.max(0, Math.ceil(missing / rule.perMinute)),
    state: {
      limit: rule.burst,
      remaining: Math.floor(level / TOKEN_PARTS),
      resetMs: Math.ceil((rule.burst * TOKEN_PARTS - level) / rule.perMinute),
    },
  };
}

/** Takes one. The budget must have room. */
export function take(rule: Rule, kept: Kept | undefined, now: number): Kept {
  if (rule.kind === "bucket") {
    const level = levelNow(rule, kept, now) - TOKEN_PARTS;
    // A clock that stepped back must not pour the same ms in twice.
    const at = kept?.kind === "bucket" ? Math.max(kept.at, now) : now;
    return { kind: "bucket", level, at };
  }
  return kept?.kind === "window" && kept.endsAt > now
    ? { ...kept, count: kept.count + 1 }
    : { kind: "window", count: 1, endsAt: now + rule.windowMs };
}

function levelNow(rule: Rule & { kind: "bucket" }, kept: Kept | undefined, now: number): number {
  const full = rule.burst * TOKEN_PARTS;
  if (kept?.kind !== "bucket") return full;
  return Math.min(full, kept.level + Math.max(0, now - kept.at) * rule.perMinute);
}

/** The name a budget is kept under: another rule under the same key is another budget. A window's limit may change in place. */
export function budgetName({ key, rule }: { key: string; rule: Rule }): string {
  return rule.kind === "window"
    ? `w:${rule.windowMs}:${key}`
    : `b:${rule.perMinute}:${rule.burst}:${key}`;
}
