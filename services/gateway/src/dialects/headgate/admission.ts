/** Whether a request may go on: the state of its hook, budgets, and what the answers say of them. */
import { AppError } from "@headgate/kit/errors";
import { HookAction, HookState } from "@headgate/proto/registry/v1/registry";
import type { Admission, Budget, Gate, Hook, HookRequest } from "../../dialect.ts";
import { sourceKey } from "../../source.ts";

/** Requests with unknown tokens that one source may make in a minute: enough for a mistake, too few to guess. */
const UNKNOWN_PER_MINUTE = 600;

/** What `checkCredential` lets through; the rest cannot be a token of ours and needs no look-up. */
const TOKEN = /^hgi_[A-Za-z0-9_-]{43}$/;

/**
 * The hook of a token, fit to be used.
 * @throws AppError not_found `hook_unknown`, `hook_revoked` (http 410); permission_denied `hook_disabled`;
 * resource_exhausted `source_limited`; unavailable, `overloaded` among it
 */
export async function findUsableHook(gate: Gate, request: HookRequest): Promise<Hook> {
  const token = request.params.token ?? "";
  const hook = TOKEN.test(token) ? await gate.findHook("headgate", token) : undefined;
  if (hook === undefined) {
    await countUnknown(gate, request.source);
    throw new AppError("not_found", "hook_unknown", "There is no hook of this token.");
  }
  const { state, action } = hook.record;
  if (state === HookState.REVOKED) {
    throw new AppError("not_found", "hook_revoked", "This hook was revoked.", { http: 410 });
  }
  if (state !== HookState.ACTIVE) {
    throw new AppError("permission_denied", "hook_disabled", "This hook is disabled.");
  }
  if (action !== HookAction.CHAT_MESSAGE) {
    throw new AppError("unimplemented", "action_unserved", "This server takes chat messages only.");
  }
  request.assignTo(hook.record.id);
  return hook;
}

/** The budgets that a request of a hook takes from: its own limit, where its owner set one. */
export function budgetsOf({ record }: Hook): readonly Budget[] {
  if (record.limits === undefined) return NO_BUDGETS;
  const { perMinute, burst } = record.limits;
  return [{ key: `hook:${record.id}`, rule: { case: "tokenBucket", value: { perMinute, burst } } }];
}
const NO_BUDGETS: readonly Budget[] = [];

/** The RateLimit fields (draft-ietf-httpapi-ratelimit-headers-11) of a hook's own limit; none without a limit. */
export function rateLimitHeaders({ record }: Hook, { budgets }: Admission): Record<string, string> {
  const state = budgets[0];
  if (record.limits === undefined || state === undefined) return {};
  const { perMinute, burst } = record.limits;
  return {
    "RateLimit-Policy": `"hook";q=${burst};w=${Math.max(1, Math.ceil((burst * 60) / perMinute))}`,
    RateLimit: `"hook";r=${state.remaining};t=${Math.ceil(state.resetMs / 1000)}`,
  };
}

/** The refusal of a request that found its budget used up. */
export function limited(admission: Admission): AppError {
  return new AppError("resource_exhausted", "hook_limited", "The limit of this hook is reached.", {
    retryAfterMs: admission.retryAfterMs,
  });
}

async function countUnknown(gate: Gate, source: string): Promise<void> {
  const admission = await gate.admit([
    {
      key: `source:headgate:${sourceKey(source)}`,
      rule: { case: "fixedWindow", value: { limit: UNKNOWN_PER_MINUTE, windowSeconds: 60 } },
    },
  ]);
  if (admission.decision === "limited") {
    throw new AppError(
      "resource_exhausted",
      "source_limited",
      "Too many requests with unknown tokens.",
      {
        retryAfterMs: admission.retryAfterMs,
      },
    );
  }
}
