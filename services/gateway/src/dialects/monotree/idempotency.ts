/** The header Idempotency-Key, and what is kept of an answer. */
import type { IncomingHttpHeaders } from "node:http";
import { countCodePoints, hasInvalidCharacters } from "@headgate/kit/json";
import { refuseFields } from "./errors.ts";
import type { Accepted } from "./map.ts";

/** Code points of a key. */
const KEY_MAX = 255;
const SEPARATOR = " ";

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

/** What an answer holds besides the text, which is in the request: some 60 bytes. */
export function packAccepted({ number, roomNumber, botNumber, createdAt }: Accepted): Uint8Array {
  return Buffer.from([number, roomNumber, botNumber ?? "", createdAt].join(SEPARATOR));
}

/** What was kept, with the text of the request that came again. */
export function unpackAccepted(kept: Uint8Array, text: string): Accepted {
  // Written by packAccepted above; nothing else writes below a hook's scope.
  const [number, room, bot, createdAt = ""] = Buffer.from(kept).toString().split(SEPARATOR);
  return {
    number: Number(number),
    roomNumber: Number(room),
    botNumber: bot ? Number(bot) : null,
    text,
    createdAt,
  };
}
