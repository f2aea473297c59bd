/** May this delivery go on: the hook behind the id, its owner's limits, and the key of a repetition. */
import { AppError } from "@headgate/kit/errors";
import { countCodePoints } from "@headgate/kit/json";
import { HookState } from "@headgate/proto/registry/v1/registry";
import type { Gate, Hook, HookRequest } from "../../dialect.ts";
import { type Keyed, keyRequest } from "../../ingest/idempotency.ts";
import { decodePayload } from "./decode.ts";
import { refusal } from "./errors.ts";
import { isId } from "./id.ts";
import { hasContent } from "./map.ts";

/** Code points of an Idempotency-Key. */
const KEY_MAX = 255;
/** Bytes of a delivery to an unknown hook that are read, so that what is wrong with the payload is answered first. */
const UNKNOWN_BODY_BYTES_MAX = 4_096;

/**
 * The hook of an id, which is its secret too; upper case is taken. undefined: unknown, deleted or revoked.
 * @throws AppError `limited` when the client address sent too many unknown ids; unavailable
 */
export async function findHook(gate: Gate, request: HookRequest): Promise<Hook | undefined> {
  const id = request.params.id ?? "";
  // What no UUID gives is no hook's id, and costs no call.
  const credential = isId(id) ? id.toLowerCase() : undefined;
  const found = await gate.authenticate("mattermost", credential, request);
  if (found.hook) return found.hook.record.state === HookState.REVOKED ? undefined : found.hook;
  const { decision, retryAfterMs } = found.admission;
  if (decision !== "limited") return undefined;
  throw refusal("limited", { detail: "Too many requests with unknown ids.", retryAfterMs });
}

/**
 * Refuses a delivery that no hook stands behind, in Mattermost's order of checks: a payload that cannot be read comes first.
 * Of a large body nothing is read.
 * @throws AppError always: `outcome`, unless a check before it fails
 */
export async function refuseWithoutHook(
  request: HookRequest,
  bodyBytesMax: number,
  outcome: "hook_unknown" | "feature_disabled",
): Promise<never> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > bodyBytesMax) throw refusal("body_too_large");
  if (declared > UNKNOWN_BODY_BYTES_MAX) throw refusal(outcome);
  const body = await request.readBody(UNKNOWN_BODY_BYTES_MAX).catch((thrown: unknown) => {
    throw AppError.from(thrown).httpStatus === 413 ? refusal(outcome) : thrown;
  });
  const payload = await decodePayload(body, request.headers["content-type"], request.query);
  if (outcome === "hook_unknown" && !hasContent(payload)) throw refusal("text_missing");
  throw refusal(outcome);
}

/**
 * What an Idempotency-Key, quoted or bare, makes of a delivery; undefined without the header.
 * @throws AppError `key_invalid`
 */
export function readKeyed(request: HookRequest, hook: Hook, body: Buffer): Keyed | undefined {
  const header = request.headers["idempotency-key"];
  if (header === undefined) return undefined;
  const text = (Array.isArray(header) ? header.join(",") : header).trim();
  const key = /^"(.*)"$/.exec(text)?.[1] ?? text;
  if (key === "" || countCodePoints(key) > KEY_MAX) throw refusal("key_invalid");
  // A form may hold its payload in the query.
  const parts = [request.query, body];
  return keyRequest({ scope: hook.record.id, kind: "delivery", key, parts });
}
