/** The head of a native hook request: media type, idempotency key, query. */
import { AppError } from "@headgate/kit/errors";
import type { HookRequest } from "../../dialect.ts";

/** An Idempotency-Key as it is sent: 1 to 255 characters, bare and visible, or in quotes, where blanks may be too. */
export const KEY_PATTERN = '^([!#-~]{1,255}|"([ !#-\\[\\]-~]|\\\\["\\\\]){1,255}")$';
const KEY = new RegExp(KEY_PATTERN);
const LINES = new Set(["application/x-ndjson", "application/ndjson", "application/jsonl"]);

/**
 * Refuses what is not JSON by its own words; curl's default type and no type at all are taken as JSON.
 * @throws AppError invalid_argument `media_type` (http 415)
 */
export function checkMediaType(headers: HookRequest["headers"], takesLines: boolean): void {
  const given = headers["content-type"];
  if (headers["content-encoding"] !== undefined) {
    throw unsupported("A Content-Encoding is not taken: send the body as it is.");
  }
  if (given === undefined || given === "application/json") return;
  const [type = "", ...parameters] = given
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const isJson =
    type === "application/json" ||
    type === "application/x-www-form-urlencoded" ||
    /^application\/[\w.-]+\+json$/.test(type) ||
    (takesLines && LINES.has(type));
  const isUtf8 = parameters.every(
    (parameter) => !parameter.startsWith("charset=") || /^charset="?utf-?8"?$/.test(parameter),
  );
  if (!isJson || !isUtf8) throw unsupported("The Content-Type must be application/json, in UTF-8.");
}

/**
 * The sender's key, quoted or bare; undefined when none was sent.
 * @throws AppError invalid_argument `idempotency_key_malformed`
 */
export function readIdempotencyKey(headers: HookRequest["headers"]): string | undefined {
  const given = headers["idempotency-key"];
  if (given === undefined) return undefined;
  const raw = String(given).trim();
  if (!KEY.test(raw)) {
    throw new AppError(
      "invalid_argument",
      "idempotency_key_malformed",
      "The Idempotency-Key must have 1 to 255 visible ASCII characters, in quotes or bare.",
    );
  }
  return raw.startsWith('"') ? raw.slice(1, -1).replace(/\\(["\\])/g, "$1") : raw;
}

/**
 * Whether the sender asked to wait until the message can be read.
 * @throws AppError invalid_argument `query_invalid` for a `wait` that is not known
 */
export function readWait(query: string): boolean {
  if (query === "") return false;
  const wait = new URLSearchParams(query).getAll("wait");
  if (wait.length === 0) return false;
  if (wait.length === 1 && wait[0] === "readable") return true;
  throw new AppError(
    "invalid_argument",
    "query_invalid",
    "The parameter wait takes only: readable.",
  );
}

/**
 * Refuses to wait: a batch is answered when the log has it.
 * @throws AppError invalid_argument `query_invalid` when the sender asked to wait
 */
export function refuseWait(query: string): void {
  if (query === "" || !new URLSearchParams(query).has("wait")) return;
  throw new AppError("invalid_argument", "query_invalid", "A batch does not take wait.");
}

function unsupported(message: string): AppError {
  return new AppError("invalid_argument", "media_type", message, { http: 415 });
}
