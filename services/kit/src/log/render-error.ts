/** Errors as fields of a log line. */
import { AppError } from "../errors.ts";

/** Causes below this depth are left out. */
const CAUSE_DEPTH_MAX = 4;
const TEXT_LENGTH_MAX = 2048;

/** An error as it is logged; `stack` only for what nobody foresaw. */
export type RenderedError = {
  type: string;
  message: string;
  code?: string;
  reason?: string;
  stack?: string;
  cause?: RenderedError;
};

/**
 * Renders whatever was thrown. An AppError shows code and reason; any other error shows its stack, unless it is the known
 * cause of a foreseen AppError.
 */
export function renderError(thrown: unknown): RenderedError {
  return render(thrown, true, 0);
}

function render(thrown: unknown, withStack: boolean, depth: number): RenderedError {
  if (!(thrown instanceof Error)) {
    return { type: typeof thrown, message: clip(describe(thrown)) };
  }
  const foreseen = thrown instanceof AppError;
  const shown: RenderedError = { type: thrown.name, message: clip(thrown.message) };
  if (foreseen) {
    shown.code = thrown.code;
    shown.reason = thrown.reason;
  } else {
    if ("code" in thrown && typeof thrown.code === "string") shown.code = clip(thrown.code);
    if (withStack && thrown.stack) shown.stack = clip(thrown.stack);
  }
  if (thrown.cause !== undefined && depth < CAUSE_DEPTH_MAX) {
    const unknownCause = foreseen ? thrown.code === "internal" : withStack;
    shown.cause = render(thrown.cause, unknownCause, depth + 1);
  }
  return shown;
}

function describe(thrown: unknown): string {
  try {
    return typeof thrown === "object" ? (JSON.stringify(thrown) ?? "") : String(thrown);
  } catch {
    return "unwritable";
  }
}

function clip(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : `${text.slice(0, TEXT_LENGTH_MAX)}…`;
}
