/** Requests and replies of the rpc, to and from the words of the rules. Refuses whatever the protocol does not allow. */
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AppError, type Fault } from "@headgate/kit/errors";
import {
  type AdmissionSchema,
  type AdmitRequest,
  type Budget as BudgetMessage,
  Decision as DecisionMessage,
  type PeekRequest,
  type SettleRequest,
} from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { budgetName } from "./budgets.ts";
import type { Ask, Budget, Claim, Decision, Rule, Settlement, Verdict } from "./service.ts";

/** Items, budgets or settlements of one call. */
const CALL_ITEMS_MAX = 1_000;
/** Budgets of one item. */
const ITEM_BUDGETS_MAX = 8;
/** Bytes of a budget's key. */
const BUDGET_KEY_BYTES_MAX = 200;
/** Code points of an idempotency key. */
const KEY_LENGTH_MAX = 255;
/** Characters of an idempotency scope: a UUID, with room. */
const SCOPE_LENGTH_MAX = 200;
/** Bytes of a SHA-256. */
const DIGEST_BYTES = 32;
/** Bytes of a kept answer: what tells a replay apart from other replays, never a whole reply. */
const ANSWER_BYTES_MAX = 4_096;
/** Faults that one error lists. */
const FAULTS_MAX = 20;

/** Reads an Admit request. @throws AppError `request_invalid` with its faults */
export function toAsks({ items }: AdmitRequest): Ask[] {
  return readAll("items", items, (item, at, faults) => {
    const budgets = item.budgets.flatMap((budget, index) => {
      const read = readBudget(budget, `${at}/budgets/${index}`, faults);
      return read ? [read] : [];
    });
    if (item.budgets.length > ITEM_BUDGETS_MAX) {
      faults.push({ pointer: `${at}/budgets`, detail: `must have at most ${ITEM_BUDGETS_MAX}` });
    }
    if (new Set(budgets.map(budgetName)).size < budgets.length) {
      faults.push({ pointer: `${at}/budgets`, detail: "must not name a budget twice" });
    }
    return { budgets, claim: item.idempotency && readClaim(item.idempotency, at, faults) };
  });
}

/** Reads a Peek request. @throws AppError `request_invalid` with its faults */
export function toBudgets({ budgets }: PeekRequest): Budget[] {
  return readAll("budgets", budgets, readBudget);
}

/** Reads a Settle request. @throws AppError `request_invalid` with its faults */
export function toSettlements({ settlements }: SettleRequest): Settlement[] {
  return readAll("settlements", settlements, ({ scope, key, answer }, at, faults) => {
    checkKey(scope, key, at, faults);
    if (answer.length > ANSWER_BYTES_MAX) {
      faults.push({
        pointer: `${at}/answer`,
        detail: `must have at most ${ANSWER_BYTES_MAX} bytes`,
      });
    }
    return { id: claimId(scope, key), scope, answer: answer.length > 0 ? answer : undefined };
  });
}

const DECISION_OF: Record<Decision, DecisionMessage> = {
  admitted: DecisionMessage.ADMITTED,
  limited: DecisionMessage.LIMITED,
  replay: DecisionMessage.REPLAY,
  conflict: DecisionMessage.CONFLICT,
  in_progress: DecisionMessage.IN_PROGRESS,
};

/** A verdict as the reply says it. */
export function fromVerdict(verdict: Verdict): MessageInitShape<typeof AdmissionSchema> {
  return {
    decision: DECISION_OF[verdict.decision],
    budgets: [...verdict.budgets],
    retryAfterMs: verdict.retryAfterMs,
    answer: verdict.answer,
  };
}

/** Reads each part of a list, and refuses the whole with all faults found. */
function readAll<T, R>(
  name: string,
  parts: readonly T[],
  read: (part: T, at: string, faults: Fault[]) => R | undefined,
): R[] {
  const faults: Fault[] = [];
  const results: R[] = [];
  if (parts.length === 0 || parts.length > CALL_ITEMS_MAX) {
    faults.push({ pointer: `/${name}`, detail: `must have 1 to ${CALL_ITEMS_MAX}` });
  }
  for (const [index, part] of parts.entries()) {
    if (faults.length >= FAULTS_MAX) break;
    const result = read(part, `/${name}/${index}`, faults);
    if (result !== undefined) results.push(result);
  }
  if (faults.length > 0) {
    throw new AppError("invalid_argument", "request_invalid", "The request is not valid.", {
      faults: faults.slice(0, FAULTS_MAX),
    });
  }
  return results;
}

function readBudget(budget: BudgetMessage, at: string, faults: Fault[]): Budget | undefined {
  const bytes = Buffer.byteLength(budget.key);
  if (bytes === 0 || bytes > BUDGET_KEY_BYTES_MAX) {
    faults.push({ pointer: `${at}/key`, detail: `must have 1 to ${BUDGET_KEY_BYTES_MAX} bytes` });
  }
  const rule = readRule(budget.rule, at, faults);
  return rule && { key: budget.key, rule };
}

function readRule(rule: BudgetMessage["rule"], at: string, faults: Fault[]): Rule | undefined {
  if (rule.case === "fixedWindow") {
    const { limit, windowSeconds } = rule.value;
    checkRange(limit, 1_000_000_000, `${at}/fixed_window/limit`, faults);
    checkRange(windowSeconds, 86_400, `${at}/fixed_window/window_seconds`, faults);
    return { kind: "window", limit, windowMs: windowSeconds * 1000 };
  }
  if (rule.case === "tokenBucket") {
    const { perMinute, burst } = rule.value;
    checkRange(perMinute, 60_000_000, `${at}/token_bucket/per_minute`, faults);
    checkRange(burst, 1_000_000, `${at}/token_bucket/burst`, faults);
    return { kind: "bucket", perMinute, burst };
  }
  faults.push({ pointer: `${at}/rule`, detail: "must be given" });
  return undefined;
}

function readClaim(
  { scope, key, bodyDigest }: { scope: string; key: string; bodyDigest: Uint8Array },
  at: string,
  faults: Fault[],
): Claim {
  checkKey(scope, key, `${at}/idempotency`, faults);
  if (bodyDigest.length !== DIGEST_BYTES) {
    const pointer = `${at}/idempotency/body_digest`;
    faults.push({ pointer, detail: `must have ${DIGEST_BYTES} bytes` });
  }
  return { id: claimId(scope, key), bodyDigest };
}

function checkKey(scope: string, key: string, at: string, faults: Fault[]): void {
  if (scope.length === 0 || scope.length > SCOPE_LENGTH_MAX) {
    faults.push({
      pointer: `${at}/scope`,
      detail: `must have 1 to ${SCOPE_LENGTH_MAX} characters`,
    });
  }
  // A code point takes at most two UTF-16 units: only a key between one and two times the bound must be counted.
  if (key.length === 0 || key.length > 2 * KEY_LENGTH_MAX || [...key].length > KEY_LENGTH_MAX) {
    faults.push({ pointer: `${at}/key`, detail: `must have 1 to ${KEY_LENGTH_MAX} code points` });
  }
}

function checkRange(value: number, max: number, pointer: string, faults: Fault[]): void {
  if (value < 1 || value > max) faults.push({ pointer, detail: `must be 1 to ${max}` });
}

/** Scope and key as one digest: a sender's key may be long, and need not be readable in Redis. */
function claimId(scope: string, key: string): string {
  return createHash("sha256").update(`${scope.length}:${scope}:${key}`).digest("base64url");
}
