/**
 * Faults in Monotree's words: a JSON object with a message; for 422 also every faulty field, in the shape of the framework
 * behind the product (message = the first text, and how many more).
 */
import { AppError, type Code, type ErrorDetails } from "@headgate/kit/errors";
import type { HookReply } from "../../dialect.ts";
import { UnsureError } from "../../ingest/publish.ts";

/** Headers of every answer. The address is a secret, so nobody may keep what stands behind it. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "Content-Type": "application/json; charset=utf-8",
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
};

/** ms to wait where a fault that may pass does not say. */
const RETRY_MS = 1_000;

/** A fault whose status and message are the dialect's own, with the headers that its answer carries besides. */
export class Refusal extends AppError {
  headers: Readonly<Record<string, string>> = {};
}

/** One thing wrong with one field, named as the answer names it: `media.0.url`. */
export type FieldFault = { readonly field: string; readonly text: string };

/** Every refusal of the incoming endpoint but 422, by its reason. Spec of the API, "Error responses". */
const REFUSALS = {
  hook_disabled: ["permission_denied", 403, "This webhook is disabled."],
  hook_unknown: ["not_found", 404, "Webhook not found."],
  request_timeout: ["deadline_exceeded", 408, "The request took too long."],
  key_in_progress: ["aborted", 409, "A request with this idempotency key is still in progress."],
  hook_revoked: ["not_found", 410, "This webhook has been revoked."],
  target_gone: ["not_found", 410, "The target of this webhook is no longer available."],
  body_too_large: ["invalid_argument", 413, "The POST data is too large."],
  media_type: ["invalid_argument", 415, "The Content-Type must be application/json."],
  limited: ["resource_exhausted", 429, "Too Many Attempts."],
  action_unavailable: ["unavailable", 503, "This webhook's action is not available."],
} as const satisfies Record<string, readonly [Code, number, string]>;

/** The refusal of a reason. */
export function refuse(reason: keyof typeof REFUSALS, retryAfterMs?: number): Refusal {
  const [code, http, message] = REFUSALS[reason];
  return new Refusal(code, reason, message, details(http, { retryAfterMs }));
}

/** The refusal of a method. */
export function refuseMethod(method: string): Refusal {
  const message = `The ${method} method is not supported for this route. Supported methods: POST.`;
  const refusal = new Refusal("unimplemented", "method_not_allowed", message, { http: 405 });
  refusal.headers = { Allow: "POST" };
  return refusal;
}

/** A 422 with everything that is wrong, in the order found. */
export function refuseFields(reason: string, faults: readonly FieldFault[]): Refusal {
  const first = faults[0]?.text ?? "The given data was invalid.";
  const more = faults.length - 1;
  const tail = more < 1 ? "" : ` (and ${more} more error${more === 1 ? "" : "s"})`;
  return new Refusal("invalid_argument", reason, `${first}${tail}`, {
    http: 422,
    faults: faults.map(({ field, text }) => ({ pointer: toPointer(field), detail: text })),
  });
}

/** The 422 of a key that came with another body before. */
function refuseConflict(): Refusal {
  const text = "The idempotency key has already been used with a different payload.";
  return refuseFields("key_conflict", [{ field: "idempotency_key", text }]);
}

/** Any failure in the dialect's words; what is not the sender's doing tells nothing of itself. */
export function toRefusal(error: AppError): Refusal {
  if (error instanceof Refusal) return error;
  if (error.reason === "idempotency_key_reused") return refuseConflict();
  if (error.reason === "idempotency_in_progress")
    return refuse("key_in_progress", error.retryAfterMs);
  if (error.reason === "hook_limited") return refuse("limited", error.retryAfterMs);
  if (error.httpStatus === 413) return refuse("body_too_large");
  if (error.httpStatus === 408) return refuse("request_timeout");
  const passes = [429, 499, 503, 504].includes(error.httpStatus) || error.code === "aborted";
  const [code, http, message] = passes
    ? (["unavailable", 503, "Service Unavailable"] as const)
    : (["internal", 500, "Server Error"] as const);
  const given = { cause: error.cause ?? error, retryAfterMs: error.retryAfterMs };
  const refusal = new Refusal(code, error.reason, message, details(http, given));
  if (error instanceof UnsureError) {
    refusal.headers = { "X-Headgate-Event-Id": error.eventIds.join(", ") };
  }
  return refusal;
}

/** The answer to any failure of a request to this dialect. */
export function renderError(error: AppError): HookReply {
  const refusal = toRefusal(error);
  const status = refusal.httpStatus;
  const headers: Record<string, string> = { ...COMMON_HEADERS, ...refusal.headers };
  if (status === 409 || status === 429 || status === 503) {
    const seconds = Math.ceil((refusal.retryAfterMs ?? RETRY_MS) / 1000);
    headers["Retry-After"] = String(Math.max(1, seconds));
  }
  const { message } = refusal;
  return {
    status,
    headers,
    body: status === 422 ? { message, errors: errorsOf(refusal) } : { message },
  };
}

function errorsOf({ faults }: AppError): Record<string, string[]> {
  const errors: Record<string, string[]> = {};
  for (const { pointer, detail } of faults) {
    const field = pointer.slice(1).replaceAll("/", ".");
    errors[field] = [...(errors[field] ?? []), detail];
  }
  return errors;
}

function toPointer(field: string): string {
  return `/${field.replaceAll(".", "/")}`;
}

function details(
  http: number,
  { cause, retryAfterMs }: { cause?: unknown; retryAfterMs?: number | undefined },
): ErrorDetails {
  return {
    http,
    ...(cause !== undefined && { cause }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}
