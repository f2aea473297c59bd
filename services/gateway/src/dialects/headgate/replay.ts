/** Idempotency keys: the claim of a request, and the answers that are kept and given again. */
import { hash } from "node:crypto";
import { AppError } from "@headgate/kit/errors";
import type { Admission, Claim, Gate, Hook, HookReply } from "../../dialect.ts";

/** Bytes of an answer that the rate-limiter keeps. */
const KEPT_BYTES_MAX = 64 * 1024;

/** The claim of a key of a hook's sender. */
export function createClaim(hook: Hook, key: string, body: Buffer): Claim {
  return { scope: hook.record.id, key, bodyDigest: hash("sha256", body, "buffer") };
}

/**
 * What the memory of keys says: the kept answer again, or undefined to go on.
 * @throws AppError aborted `idempotency_in_progress`; invalid_argument `idempotency_key_reused` (http 422)
 */
export function replayOf(admission: Admission): HookReply | undefined {
  switch (admission.decision) {
    case "replay":
      return unpack(admission.answer);
    case "in_progress":
      throw new AppError(
        "aborted",
        "idempotency_in_progress",
        "The first request with this Idempotency-Key has not been answered yet.",
        { retryAfterMs: admission.retryAfterMs },
      );
    case "conflict":
      throw new AppError(
        "invalid_argument",
        "idempotency_key_reused",
        "This Idempotency-Key was used for another body.",
        { http: 422 },
      );
    default:
      return undefined;
  }
}

/**
 * Runs a claimed request and keeps its answer; a failure forgets the claim, so that a retry starts afresh. An answer too
 * long to keep is forgotten too: the retry then makes the same ids again, which changes nothing.
 */
export async function settled(
  gate: Gate,
  claim: Claim | undefined,
  work: () => Promise<HookReply>,
): Promise<HookReply> {
  if (claim === undefined) return work();
  let answer: Uint8Array | undefined;
  try {
    const reply = await work();
    const packed = Buffer.from(`${reply.status} ${String(reply.body)}`);
    if (packed.byteLength <= KEPT_BYTES_MAX) answer = packed;
    return reply;
  } finally {
    await gate.settle(claim, answer);
  }
}

/** Kept answers: "<status> <body>". */
function unpack(answer: Uint8Array): HookReply {
  const text = Buffer.from(answer).toString();
  const blank = text.indexOf(" ");
  return {
    status: Number(text.slice(0, blank)),
    headers: { "Content-Type": "application/json", "Idempotency-Replayed": "true" },
    body: text.slice(blank + 1),
  };
}
