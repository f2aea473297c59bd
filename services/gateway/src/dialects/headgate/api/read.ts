/** Reads what a caller sent: query, body, Idempotency-Key. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { AppError } from "@headgate/kit/errors";
import { type BodyRoom, readBody } from "@headgate/kit/http";
import { createNamedId } from "@headgate/kit/ids";
import type { TObject } from "typebox";
import type { Claim } from "../../../dialect.ts";
import { readIdempotencyKey } from "../request.ts";
import { parseBody } from "../schema.ts";

/** Bytes of a body whose route sets no bound of its own. */
const BODY_BYTES_MAX = 64 * 1024;
/** ms in which a body must arrive. */
const BODY_TIMEOUT_MS = 15_000;
const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i;

/** A body, parsed and as it was sent, and the digest of its bytes. */
export type ReadBody = {
  readonly value: unknown;
  readonly bytes: Buffer;
  readonly digest: Uint8Array;
};

/**
 * The body of a request; no type at all is taken as JSON.
 * @throws AppError `media_type` (http 415), `body_too_large` (413), `body_timeout` (408), `overloaded` (503), `json_malformed` and its kind (400)
 */
export async function readJson(
  req: IncomingMessage,
  { bytesMax = BODY_BYTES_MAX, room }: { bytesMax?: number | undefined; room: BodyRoom },
): Promise<ReadBody> {
  const { "content-type": type, "content-encoding": encoding } = req.headers;
  if (encoding !== undefined || (type !== undefined && !JSON_TYPE.test(type))) {
    const message = "The body must be application/json, in UTF-8 and without Content-Encoding.";
    throw new AppError("invalid_argument", "media_type", message, { http: 415 });
  }
  const body = await readBody(req, { bytesMax, timeoutMs: BODY_TIMEOUT_MS, room });
  return {
    value: parseBody(body),
    bytes: body,
    digest: createHash("sha256").update(body).digest(),
  };
}

/** The parameters of a query: whole numbers and booleans where the schema says so and the text is one; a name given twice is a list. */
export function readQuery(url: string, schema: TObject): Record<string, unknown> {
  const at = url.indexOf("?");
  const query: [string, unknown][] = [];
  const parameters = new URLSearchParams(at < 0 ? "" : url.slice(at + 1));
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    const declared: unknown = Object.hasOwn(schema.properties, name)
      ? schema.properties[name]
      : undefined;
    query.push([name, values.length > 1 ? values : readValue(values[0] ?? "", declared)]);
  }
  return Object.fromEntries(query);
}

/** What a key makes of a POST: with the body, the id of what it makes, and the claim that tells a repetition. */
export type Keyed = { readonly newId: string; readonly claim: Claim };

/**
 * The key of a POST; undefined without the header.
 * @throws AppError `idempotency_key_malformed`
 */
export function readKey(
  req: IncomingMessage,
  asked: { userId: string; path: string; digest: Uint8Array },
): Keyed | undefined {
  const key = readIdempotencyKey(req.headers);
  if (key === undefined) return undefined;
  const name = `${asked.path}\n${key}`;
  const digest = Buffer.from(asked.digest).toString("hex");
  return {
    // Of the body too: a key that comes with another body once it is forgotten makes another thing.
    newId: createNamedId(asked.userId, `${digest}\n${name}`),
    claim: {
      scope: asked.userId,
      // Digested, so that path and key together keep to the length of a key.
      key: createHash("sha256").update(name).digest("base64url"),
      bodyDigest: asked.digest,
    },
  };
}

function readValue(text: string, declared: unknown): unknown {
  const type = typeof declared === "object" && declared && "type" in declared ? declared.type : "";
  if (type === "integer" && /^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) {
    return Number(text);
  }
  if (type === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}
