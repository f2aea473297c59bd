/** How a publish fails, and what is known then. */
import { AppError } from "../errors.ts";

const RETRY_AFTER_MS = 1_000;

/** Nothing of the call is kept, and nothing of it will be sent. */
export function unavailable(cause: unknown): AppError {
  return new AppError("unavailable", "log_unavailable", "The log did not take the event in time.", {
    cause,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** Records of the call were sent, and the broker did not say in time whether it has them. */
export function unsure(cause: unknown): AppError {
  return new AppError(
    "unavailable",
    "log_unsure",
    "The batch was not acknowledged in time: it may or may not be kept.",
    { cause, retryAfterMs: RETRY_AFTER_MS },
  );
}

/** The buffer has no room; nothing was sent. */
export function full(): AppError {
  return new AppError("unavailable", "log_full", "The log cannot take more right now.", {
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** The reason of `recordTooLarge`. */
export const RECORD_TOO_LARGE = "record_too_large";

/** The topic does not take a record of this size; nothing was sent. */
export function recordTooLarge(): AppError {
  return new AppError("invalid_argument", RECORD_TOO_LARGE, "The event is too large to be kept.");
}

/** The records of the call are more than the topic takes in one batch; nothing was sent. */
export function batchTooLarge(): AppError {
  return new AppError(
    "invalid_argument",
    "batch_too_large",
    "The events of the request are too large to be kept together.",
  );
}
