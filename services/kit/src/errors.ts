/**
 * The one error type and the one status table. HTTP, gRPC and Kafka read the same row of it.
 * Imports nothing, so that everything may import it.
 */

/** What to do with a record whose handler failed with a code: again later, or to the dead letter. */
type RecordVerdict = "retry" | "dead";

/** One row per code, in gRPC's own names: HTTP status, gRPC status, verdict on a record. */
export const STATUS = {
  cancelled: { http: 499, grpc: 1, record: "retry" },
  invalid_argument: { http: 400, grpc: 3, record: "dead" },
  deadline_exceeded: { http: 504, grpc: 4, record: "retry" },
  not_found: { http: 404, grpc: 5, record: "dead" },
  already_exists: { http: 409, grpc: 6, record: "dead" },
  permission_denied: { http: 403, grpc: 7, record: "dead" },
  resource_exhausted: { http: 429, grpc: 8, record: "retry" },
  failed_precondition: { http: 409, grpc: 9, record: "dead" },
  aborted: { http: 409, grpc: 10, record: "retry" },
  unimplemented: { http: 501, grpc: 12, record: "dead" },
  internal: { http: 500, grpc: 13, record: "dead" },
  unavailable: { http: 503, grpc: 14, record: "retry" },
  unauthenticated: { http: 401, grpc: 16, record: "dead" },
} as const satisfies Record<string, { http: number; grpc: number; record: RecordVerdict }>;

/** A code of the status table. */
export type Code = keyof typeof STATUS;

/** One fault of one field, for errors that list them all. `pointer` is a JSON pointer. */
export type Fault = { readonly pointer: string; readonly detail: string };

/** What an AppError may carry besides its message. */
export type ErrorDetails = {
  /** Never shown, only logged. */
  cause?: unknown;
  /** Every faulty field of the request. */
  faults?: readonly Fault[];
  /** How long the caller should wait before it tries again, in ms. */
  retryAfterMs?: number;
  /** HTTP status where HTTP draws a finer line than the table (410, 413, 415, 422); gRPC and Kafka ignore it. */
  http?: number;
};

/**
 * A failure that callers are told about. `message` may be shown; `reason` is stable snake_case for metrics and
 * tests; `cause` is only logged.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: Code;
  readonly reason: string;
  readonly faults: readonly Fault[];
  readonly retryAfterMs: number | undefined;
  readonly #http: number | undefined;

  constructor(code: Code, reason: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.reason = reason;
    this.faults = details.faults ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.#http = details.http;
  }

  /** The HTTP status to answer with. */
  get httpStatus(): number {
    return this.#http ?? STATUS[this.code].http;
  }

  /** An AppError as it is; anything else, which nobody foresaw, becomes `internal` with that as its cause. */
  static from(thrown: unknown): AppError {
    if (thrown instanceof AppError) return thrown;
    return new AppError("internal", "internal", "Something went wrong on our side.", {
      cause: thrown,
    });
  }
}
