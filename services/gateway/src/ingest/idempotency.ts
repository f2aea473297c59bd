/**
 * Idempotency keys, written once for all dialects. A key and what was sent with it make the ids of the events, so an equal
 * retry is the same events for ever, and another body is other events. The rate limiter remembers for 24 h which requests were
 * answered: it holds equal requests that arrive at once, gives an answer again, and refuses another body.
 */
import { createHash } from "node:crypto";
import { AppError } from "@headgate/kit/errors";
import { createNamedId } from "@headgate/kit/ids";
import type { Admission, Claim, Gate, HookReply } from "../dialect.ts";

/** A request with a key: what it claims, and the ids of its events. */
export type Keyed = {
  readonly claim: Claim;
  /** The id of the n-th event, from 0. */
  readonly idOf: (index: number) => string;
};

/** A reply, and what tells its replay apart from other replays; undefined: the reply is not to be given again. */
export type Done = { readonly reply: HookReply; readonly kept: Uint8Array | undefined };

/** What a dialect does for a request with a key. */
type Steps = {
  work(): Promise<Done>;
  /** The reply that was kept, made again. */
  replay(kept: Uint8Array): HookReply | Promise<HookReply>;
};

/**
 * What a key makes of a request.
 * @param asked.scope UUID of the hook
 * @param asked.kind names the endpoint: one key at two endpoints never makes the same id
 * @param asked.parts everything that decides what is made: the body, and what else is read
 */
export function keyRequest(asked: {
  scope: string;
  kind: string;
  key: string;
  parts: readonly (string | Uint8Array)[];
}): Keyed {
  const { scope, key } = asked;
  const bodyDigest = digestParts([asked.kind, ...asked.parts]);
  // Both have a fixed alphabet, and the digest a fixed length: no two pairs of key and index give the same name.
  const prefix = bodyDigest.toString("hex");
  return {
    claim: { scope, key, bodyDigest },
    idOf: (index) => createNamedId(scope, `${prefix}:${index}:${key}`),
  };
}

/** SHA-256 of parts, each with its length before it, so that no two lists give the same bytes. */
export function digestParts(parts: readonly (string | Uint8Array)[]): Buffer {
  const digest = createHash("sha256");
  for (const part of parts) {
    digest.update(`${typeof part === "string" ? Buffer.byteLength(part) : part.byteLength}:`);
    digest.update(part);
  }
  return digest.digest();
}

/**
 * Does the work of a request once. The claim is settled whatever happens: an error forgets it, so that a retry starts afresh
 * and makes the same ids.
 * @throws AppError aborted `idempotency_in_progress`; invalid_argument `idempotency_key_reused` (http 422)
 */
export async function once(
  gate: Pick<Gate, "settle">,
  keyed: Keyed | undefined,
  admission: Pick<Admission, "decision" | "answer" | "retryAfterMs">,
  { work, replay }: Steps,
): Promise<HookReply> {
  if (keyed === undefined) return (await work()).reply;
  if (admission.decision === "replay") return marked(await replay(admission.answer));
  if (admission.decision === "conflict") throw keyReused();
  if (admission.decision === "in_progress") throw keyInProgress(admission.retryAfterMs);
  let kept: Uint8Array | undefined;
  try {
    const done = await work();
    kept = done.kept;
    return done.reply;
  } finally {
    await gate.settle(keyed.claim, kept);
  }
}

/** The refusal of a key that came with another body before. */
export function keyReused(): AppError {
  return new AppError(
    "invalid_argument",
    "idempotency_key_reused",
    "This Idempotency-Key was used for another body.",
    { http: 422 },
  );
}

/** The refusal of a key whose first request is not answered yet. */
export function keyInProgress(retryAfterMs: number): AppError {
  return new AppError(
    "aborted",
    "idempotency_in_progress",
    "The first request with this Idempotency-Key has not been answered yet.",
    { retryAfterMs },
  );
}

function marked(reply: HookReply): HookReply {
  return { ...reply, headers: { ...reply.headers, "Idempotency-Replayed": "true" } };
}
