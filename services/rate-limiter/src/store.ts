/** The store in Redis: a script judges a chunk of asks, all chunks of a call go in one pipeline, time is Redis's clock. */
import { AppError } from "@headgate/kit/errors";
import type { Redis, RedisArgument } from "@headgate/kit/redis";
import { budgetName } from "./budgets.ts";
import { ADMIT, ADMIT_CODES, PEEK, SETTLE } from "./script.ts";
import {
  ANSWER_MS,
  type Ask,
  type Budget,
  type BudgetState,
  CLAIM_MS,
  ENTRY_BYTES,
  type KeptBytes,
  type Rule,
  type Settlement,
  type Store,
  type Verdict,
} from "./service.ts";

/** All our keys in Redis begin so. */
const PREFIX = "headgate:rate:";
/** Ms after which an ask that still lies in a socket must not be carried out: nobody waits for it by then. */
const STALE_MS = 1_000;
/** Asks that one run of the script judges: others wait so long for Redis, some 0.3 ms. */
const CHUNK_ASKS_MAX = 16;
/** The largest wait the protocol can say, uint32. */
const UINT32_MAX = 4_294_967_295;

/** Makes the store. `elapsedMs` is a clock that never steps. */
export function createRedisStore({
  redis,
  keptBytes,
  elapsedMs = () => performance.now(),
}: {
  redis: Pick<Redis, "evaluate">;
  keptBytes: KeptBytes;
  elapsedMs?: () => number;
}): Store {
  /** Redis's clock less ours, by the last reply; unknown before the first. */
  let offsetMs: number | undefined;

  return {
    async admit(asks) {
      if (asks.length <= CHUNK_ASKS_MAX) return admit(asks);
      const chunks: Promise<Verdict[]>[] = [];
      for (let at = 0; at < asks.length; at += CHUNK_ASKS_MAX) {
        chunks.push(admit(asks.slice(at, at + CHUNK_ASKS_MAX)));
      }
      return (await Promise.all(chunks)).flat();
    },
    peek: (budgets) => Promise.all(budgets.map(peek)),
    async settle(settlements) {
      await Promise.all(settlements.map(settle));
    },
  };

  async function admit(asks: readonly Ask[], isSecond = false): Promise<Verdict[]> {
    const latest = offsetMs === undefined ? 0 : Math.ceil(elapsedMs() + offsetMs + STALE_MS);
    const keys: string[] = [];
    const args: RedisArgument[] = [latest, CLAIM_MS];
    for (const { budgets, claim } of asks) {
      args.push(budgets.length, claim ? Buffer.from(claim.bodyDigest).toString("base64url") : "");
      for (const budget of budgets) {
        keys.push(keyOf(budget));
        args.push(...ruleArgs(budget.rule));
      }
      if (claim) keys.push(claimKey(claim.id));
    }
    const [now, ...replies] = readReply(await redis.evaluate(ADMIT, keys, args));
    offsetMs = readNumber(now) - elapsedMs();
    if (replies.length === asks.length) {
      return asks.map((ask, at) => toVerdict(ask, readReply(replies[at])));
    }
    // Too late by Redis's clock: it stepped forward, or another server took over. The reply brought the time of now.
    if (!isSecond) return admit(asks, true);
    throw new AppError("unavailable", "redis_late", "Redis is not available.");
  }

  async function peek(budget: Budget): Promise<BudgetState> {
    const reply = readReply(await redis.evaluate(PEEK, [keyOf(budget)], ruleArgs(budget.rule)));
    return toState(budget.rule, reply[0], reply[1]);
  }

  async function settle({ id, scope, answer }: Settlement): Promise<void> {
    const keys = [claimKey(id), keptKey(`s:${scope}`), keptKey("all")];
    const cost = ENTRY_BYTES + (answer?.byteLength ?? 0);
    const bytes = answer ? Buffer.from(answer) : "";
    const { perScope, total } = keptBytes;
    await redis.evaluate(SETTLE, keys, [bytes, ANSWER_MS, cost, perScope, total]);
  }
}

function toVerdict({ budgets }: Ask, reply: unknown[]): Verdict {
  const decision = ADMIT_CODES[readNumber(reply[0])];
  if (!decision) throw malformed();
  return {
    decision,
    retryAfterMs: clamp(readNumber(reply[1])),
    budgets: budgets.map(({ rule }, at) => toState(rule, reply[3 + at * 2], reply[4 + at * 2])),
    answer: decision === "replay" ? readBytes(reply[2]) : undefined,
  };
}

function keyOf(budget: Budget): string {
  return PREFIX + budgetName(budget);
}

function claimKey(id: string): string {
  return `${PREFIX}i:${id}`;
}

function keptKey(name: string): string {
  return `${PREFIX}k:${name}`;
}

function ruleArgs(rule: Rule): RedisArgument[] {
  return rule.kind === "window"
    ? ["w", rule.limit, rule.windowMs]
    : ["b", rule.perMinute, rule.burst];
}

function toState(rule: Rule, remaining: unknown, resetMs: unknown): BudgetState {
  return {
    limit: rule.kind === "window" ? rule.limit : rule.burst,
    remaining: readNumber(remaining),
    resetMs: clamp(readNumber(resetMs)),
  };
}

function readReply(reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw malformed();
  return reply;
}

function readNumber(value: unknown): number {
  if (typeof value !== "number") throw malformed();
  return value;
}

function readBytes(value: unknown): Uint8Array {
  if (!Buffer.isBuffer(value)) throw malformed();
  return value;
}

function clamp(ms: number): number {
  return Math.min(UINT32_MAX, ms);
}

function malformed(): AppError {
  return AppError.from(new Error("Redis replied in another form than the script's"));
}
