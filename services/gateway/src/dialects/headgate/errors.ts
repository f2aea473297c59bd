/** Failures as RFC 9457 problem details. */
import { STATUS_CODES } from "node:http";
import type { AppError } from "@headgate/kit/errors";
import type { HookReply } from "../../dialect.ts";
import { UnsureError } from "../../ingest/publish.ts";

/** A problem: what a refusal's body, or one item of a batch's answer, holds. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  /** Of `log_unsure`: the events that may be stored. */
  readonly event_ids?: readonly string[];
  /** Of an item that may be sent again: what Retry-After is for a whole answer. */
  readonly retry_after_seconds?: number;
};

/** Errors listed for one item of a batch, so that the answer stays near the size of the batch. */
const ITEM_ERRORS_MAX = 10;
const UNSURE =
  "Kafka did not say whether the event was stored. Ask GET /api/headgate/v1/messages/{id} in a moment, or send the request again " +
  "with the same Idempotency-Key: without one, a repetition may be a second message.";

/** The problem of an error; `errors` names every faulty field. */
export function toProblem(error: AppError): Problem {
  const status = error.httpStatus;
  const isUnsure = error instanceof UnsureError;
  const problem = {
    type: `/problems/${error.reason}`,
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail: isUnsure ? UNSURE : error.message,
    ...(isUnsure && { event_ids: error.eventIds }),
  };
  return error.faults.length === 0 ? problem : { ...problem, errors: error.faults };
}

/** The problem of one item of a batch. */
export function toItemProblem(error: AppError): Problem {
  const problem = toProblem(error);
  const { errors } = problem;
  return {
    ...problem,
    ...(errors && { errors: errors.slice(0, ITEM_ERRORS_MAX) }),
    ...(mayPass(problem.status) && { retry_after_seconds: retryAfterSeconds(error) }),
  };
}

/** Any failure as a reply; 429 and 503 say when to come again, in whole seconds. */
export function renderError(error: AppError): HookReply {
  const problem = toProblem(error);
  const headers: Record<string, string> = { "Content-Type": "application/problem+json" };
  if (mayPass(problem.status)) headers["Retry-After"] = String(retryAfterSeconds(error));
  return { status: problem.status, headers, body: JSON.stringify(problem) };
}

function mayPass(status: number): boolean {
  return status === 429 || status === 503;
}

function retryAfterSeconds({ retryAfterMs = 1000 }: AppError): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}
