/** Answers in OpenAPI: the declared ones, and the problem of a status. */
import { STATUS_CODES } from "node:http";
import { Type } from "typebox";
import { Problem } from "./forms.ts";
import type { ResponseSpec } from "./route.ts";

/** The contract of an answer. */
export function describeResponse({ description, schema, contentType, headers }: ResponseSpec) {
  const shown = Object.entries({ ...headers, ...REQUEST_ID }).map(([name, words]) => [
    name,
    { description: words, schema: Type.String() },
  ]);
  return {
    description,
    headers: Object.fromEntries(shown),
    ...(schema && { content: { [contentType ?? "application/json"]: { schema } } }),
  };
}

/** The contract of a problem of a status. */
export function describeProblem(status: number) {
  const retry = status === 429 || status === 503;
  return {
    ...describeResponse({
      description: STATUS_CODES[status] ?? "Problem",
      ...(retry && { headers: { "Retry-After": "Whole seconds to wait." } }),
    }),
    content: { "application/problem+json": { schema: Problem } },
  };
}

/** What the front door says to a request line and headers beyond its bounds, before any path is looked at. */
export function describeHeadTooLarge() {
  return {
    ...describeResponse({ description: STATUS_CODES[431] ?? "Problem" }),
    content: { "text/plain": { schema: Type.String() } },
  };
}

const REQUEST_ID = { "X-Request-Id": "Id of the trace of this request." };
