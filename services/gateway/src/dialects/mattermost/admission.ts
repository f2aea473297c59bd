/** May this delivery go on: the hook behind the id, its owner's limits, and the sender's promise that it is a repetition. */
import { createHash } from "node:crypto";
import { createNamedId } from "@headgate/kit/ids";
import { countCodePoints } from "@headgate/kit/json";
import { HookState } from "@headgate/proto/registry/v1/registry";
import type { Budget, Claim, Gate, Hook, HookRequest } from "../../dialect.ts";
import { refusal } from "./errors.ts";
import { isId } from "./id.ts";

/** Code points of an Idempotency-Key. */
const KEY_MAX = 255;

/**
 * The live hook of an id, which is its secret too; upper case is taken.
 * @throws AppError `hook_unknown` (deleted and revoked ones too), `hook_disabled`
 */
export async function findLiveHook(gate: Gate, id: string): Promise<Hook> {
  // What no UUID gives is no hook's id, and costs no call.
  const hook = isId(id) ? await gate.findHook("mattermost", id.toLowerCase()) : undefined;
  if (!hook || hook.record.state === HookState.REVOKED) throw refusal("hook_unknown");
  if (hook.record.state === HookState.DISABLED) throw refusal("hook_disabled");
  return hook;
}

/**
 * Takes from the hook's own limits, where its owner set some, and claims the key.
 * @returns `replay` when the same request was answered before
 * @throws AppError `limited` with the time to wait, `key_conflict`, `key_in_progress`
 */
export async function admit(
  gate: Gate,
  hook: Hook,
  claim: Claim | undefined,
): Promise<"admitted" | "replay"> {
  const { decision, retryAfterMs } = await gate.admit(budgetsOf(hook), claim);
  switch (decision) {
    case "limited":
      throw refusal("limited", { retryAfterMs });
    case "conflict":
      throw refusal("key_conflict");
    case "in_progress":
      throw refusal("key_in_progress", { retryAfterMs });
    default:
      return decision;
  }
}

/**
 * The claim of an Idempotency-Key, quoted or bare; undefined without the header.
 * @throws AppError `key_invalid`
 */
export function readClaim(request: HookRequest, hook: Hook, body: Buffer): Claim | undefined {
  const header = request.headers["idempotency-key"];
  if (header === undefined) return undefined;
  const text = (Array.isArray(header) ? header.join(",") : header).trim();
  const key = /^"(.*)"$/.exec(text)?.[1] ?? text;
  if (key === "" || countCodePoints(key) > KEY_MAX) throw refusal("key_invalid");
  const bodyDigest = createHash("sha256").update(body).digest();
  return { scope: hook.record.id, key, bodyDigest };
}

/** The ids of a keyed delivery's posts: the key's own, and from it those of further splits, which no other key can name. */
export function keyedIds({ scope, key }: Claim): (index: number) => string {
  const first = createNamedId(scope, key);
  return (index) => (index === 0 ? first : createNamedId(first, `${key}/${index + 1}`));
}

function budgetsOf({ record }: Hook): Budget[] {
  if (!record.limits) return [];
  const { perMinute, burst } = record.limits;
  return [{ key: `hook:${record.id}`, rule: { case: "tokenBucket", value: { perMinute, burst } } }];
}
