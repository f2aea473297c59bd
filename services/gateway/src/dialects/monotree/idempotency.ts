/** The header Idempotency-Key: the claim it makes, and how an answer is kept and given again. */
import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { countCodePoints, hasInvalidCharacters } from "@headgate/kit/json";
import type { Claim, HookReply } from "../../dialect.ts";
import { COMMON_HEADERS, refuseFields } from "./errors.ts";

/** Code points of a key. */
const KEY_MAX = 255;

/**
 * The key of a request, quoted or bare; undefined when there is none or it is blank.
 * @throws Refusal 422 `key_invalid`
 */
export function readKey(headers: IncomingHttpHeaders): string | undefined {
  const header = headers["idempotency-key"];
  const raw = (typeof header === "string" ? header : header?.[0])?.trim() ?? "";
  const key = /^".*"$/.test(raw) ? raw.slice(1, -1).replace(/\\(["\\])/g, "$1") : raw;
  if (key === "") return undefined;
  const faults = [];
  if (hasInvalidCharacters(key)) faults.push("contains invalid characters");
  if (countCodePoints(key) > KEY_MAX) faults.push(`must not be greater than ${KEY_MAX} characters`);
  if (faults.length === 0) return key;
  throw refuseFields(
    "key_invalid",
    faults.map((what) => ({
      field: "idempotency_key",
      text: `The idempotency key field ${what}.`,
    })),
  );
}

/** The claim of a key: one hook's, for one body. */
export function claimOf(hookId: string, key: string, body: Uint8Array): Claim {
  return { scope: hookId, key, bodyDigest: hash("sha256", body, "buffer") };
}

/** The 422 of a key that came with another body before. */
export function refuseConflict() {
  const text = "The idempotency key has already been used with a different payload.";
  return refuseFields("key_conflict", [{ field: "idempotency_key", text }]);
}

/** Only what another try could not change is given again: what was created, and what was wrong with the body. */
export function isKept(status: number): boolean {
  return status === 201 || status === 422;
}

/** An answer as it is kept: `{"status": 201, "body": {…}}`. At most some 61 KB: a text of 10,000 escaped characters. */
export function formatKept({ status, body }: HookReply): Uint8Array {
  return Buffer.from(JSON.stringify({ status, body }));
}

/** The kept answer, marked as given again. */
export function readKept(kept: Uint8Array): HookReply {
  // Written by formatKept above; nobody else writes below a hook's scope.
  const { status, body } = JSON.parse(Buffer.from(kept).toString()) as HookReply;
  return { status, headers: { ...COMMON_HEADERS, "Idempotency-Replayed": "true" }, body };
}
