/** Whether a request may go on: its hook, the people behind it, its budget, and what the answers say of that. */
import { AppError } from "@headgate/kit/errors";
import { HookAction, HookState } from "@headgate/proto/registry/v1/registry";
import type { Admission, Gate, Hook, HookRequest } from "../../dialect.ts";
import { findLoss, type Loss } from "../../ingest/owner.ts";

/** What `checkCredential` lets through; the rest cannot be a token of ours and needs no look-up. */
const TOKEN = /^hgi_[A-Za-z0-9_-]{43}$/;

/** What each loss is called; 410 where the account is not active, 403 where it may not write there. */
const LOSSES: Readonly<Record<Loss, readonly [reason: string, http: 410 | 403, message: string]>> =
  {
    owner_missing: ["owner_gone", 410, "The account that owns this hook does not exist any more."],
    owner_deactivated: ["owner_gone", 410, "The account that owns this hook is deactivated."],
    owner_left_team: ["owner_forbidden", 403, "The owner of this hook is not in its team."],
    owner_is_guest: ["owner_forbidden", 403, "The owner of this hook is a guest in its team."],
    owner_left_channel: [
      "owner_forbidden",
      403,
      "The owner of this hook is not in its private channel.",
    ],
    writer_missing: ["writer_gone", 410, "The bot of this hook does not exist any more."],
    writer_deactivated: ["writer_gone", 410, "The bot of this hook is deactivated."],
  };

/**
 * The hook of a token, fit to be used; the request is counted for it from here on.
 * @throws AppError not_found `hook_unknown`, `hook_revoked` (http 410), `owner_gone` (410), `writer_gone` (410);
 * permission_denied `hook_disabled`, `owner_forbidden`; resource_exhausted `source_limited`; unavailable, `overloaded` too
 */
export async function findUsableHook(gate: Gate, request: HookRequest): Promise<Hook> {
  const token = request.params.token ?? "";
  const credential = TOKEN.test(token) ? token : undefined;
  const found = await gate.authenticate("headgate", credential, request);
  if (!found.hook) throw unknown(found.admission);
  const { hook } = found;
  const { state, action } = hook.record;
  if (state === HookState.REVOKED) {
    throw new AppError("not_found", "hook_revoked", "This hook was revoked.", { http: 410 });
  }
  // Before the state: the registry disables such a hook too, and this says why.
  const pending = findLoss(gate, hook);
  const loss = pending instanceof Promise ? await pending : pending;
  if (loss) throw lost(loss);
  if (state !== HookState.ACTIVE) {
    throw new AppError("permission_denied", "hook_disabled", "This hook is disabled.");
  }
  if (action !== HookAction.CHAT_MESSAGE) {
    throw new AppError("unimplemented", "action_unserved", "This server takes chat messages only.");
  }
  request.assignTo(hook.record.id);
  return hook;
}

/** The RateLimit fields (draft-ietf-httpapi-ratelimit-headers-11) of a hook's own limit; none without a limit. */
export function rateLimitHeaders({ record }: Hook, admission: Admission): Record<string, string> {
  const state = admission.budgets[0];
  if (record.limits === undefined || state === undefined) return {};
  const { perMinute, burst } = record.limits;
  // `t` is the time to more quota: to the next token of the bucket, not to a full one. It never exceeds Retry-After.
  const isLimited = admission.decision === "limited";
  const waitMs = isLimited ? admission.retryAfterMs : Math.min(state.resetMs, 60_000 / perMinute);
  return {
    "RateLimit-Policy": `"hook";q=${burst};w=${Math.max(1, Math.ceil((burst * 60) / perMinute))}`,
    RateLimit: `"hook";r=${state.remaining};t=${Math.ceil(waitMs / 1000)}`,
  };
}

/** The refusal of a request that found its budget used up. */
export function limited(admission: Admission): AppError {
  return new AppError("resource_exhausted", "hook_limited", "The limit of this hook is reached.", {
    retryAfterMs: admission.retryAfterMs,
  });
}

function unknown({ decision, retryAfterMs }: Admission): AppError {
  if (decision !== "limited") {
    return new AppError("not_found", "hook_unknown", "There is no hook of this token.");
  }
  const message = "Too many requests with unknown tokens.";
  return new AppError("resource_exhausted", "source_limited", message, { retryAfterMs });
}

function lost(loss: Loss): AppError {
  const [reason, http, message] = LOSSES[loss];
  return new AppError(http === 410 ? "not_found" : "permission_denied", reason, message, { http });
}
