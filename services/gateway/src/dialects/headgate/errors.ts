/** Failures as RFC 9457 problem details. */
import { STATUS_CODES } from "node:http";
import type { AppError } from "@headgate/kit/errors";
import type { HookReply } from "../../dialect.ts";

/** A problem: what a refusal's body, or one item of a batch's answer, holds. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
};

/** The problem of an error; `errors` names every faulty field. */
export function toProblem(error: AppError): Problem {
  const status = error.httpStatus;
  const problem = {
    type: `/problems/${error.reason}`,
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail: error.message,
  };
  return error.faults.length === 0 ? problem : { ...problem, errors: error.faults };
}

/** Any failure as a reply; 429 and 503 say when to come again, in whole seconds. */
export function renderError(error: AppError): HookReply {
  const problem = toProblem(error);
  const headers: Record<string, string> = { "Content-Type": "application/problem+json" };
  if (problem.status === 429 || problem.status === 503) {
    headers["Retry-After"] = String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000)));
  }
  return { status: problem.status, headers, body: JSON.stringify(problem) };
}
