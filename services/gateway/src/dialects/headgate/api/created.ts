/** Answers of creates: 201 with Location, and a word when it was made by an earlier request of the same key. */
import type { ApiReply, ResponseSpec } from "./route.ts";

/** Path of the API below the front door. */
export const API_BASE = "/api/headgate/v1";

/** A path of ours as callers must ask for it: below the path of the public URL. */
export function locationOf(publicUrl: string, path: string): string {
  return new URL(publicUrl).pathname.replace(/\/$/, "") + path;
}

/** The reply of a create. `existed`: an earlier request with the same Idempotency-Key made it. */
export function created(path: string, body: object, existed: boolean): ApiReply {
  return {
    status: 201,
    headers: {
      Location: `${API_BASE}${path}`,
      ...(existed && { "Idempotency-Replayed": "true" }),
    },
    body,
  };
}

/** Its contract. `made`: see ResponseSpec. */
export function createdSpec(
  made: string,
  description: string,
  schema: NonNullable<ResponseSpec["schema"]>,
): ResponseSpec {
  return {
    description,
    schema,
    made,
    headers: {
      Location: "Path of what was made.",
      "Idempotency-Replayed":
        "true: an earlier request with this Idempotency-Key made it; secrets are not shown again.",
    },
  };
}
