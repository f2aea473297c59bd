/** Schemas that several nouns share, and the small conversions behind them. */
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { type Static, type TObject, type TProperties, type TSchema, Type } from "typebox";
import { derivedName, named, nameOf } from "./named.ts";

/** A UUID in lower case. */
export const Id = Type.String({ format: "uuid", pattern: "^[0-9a-f-]{36}$" });
/** A moment: RFC 3339, UTC, milliseconds. */
export const Time = Type.String({ format: "date-time" });
// A subset of what URL parsers take, so that whatever fits is a URL: a name that ends in a word, or an IPv4 address.
const OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const HOST = `([A-Za-z0-9_][A-Za-z0-9_-]{0,62}\\.){0,8}[A-Za-z_][A-Za-z0-9_-]{0,62}|${OCTET}(\\.${OCTET}){3}`;
const PORT =
  "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})";
const WEB_ADDRESS = `[Hh][Tt][Tt][Pp][Ss]?://(${HOST})(:${PORT})?([/?#][!-~]*)?`;
/** Absolute http or https URL that a message points at. */
export const Link = Type.String({ maxLength: 2048, pattern: `^${WEB_ADDRESS}$` });
/** Absolute http or https URL of a picture, or empty for none. */
export const IconLink = Type.String({ maxLength: 1024, pattern: `^(|${WEB_ADDRESS})$` });
/** Handle of a channel. */
export const Handle = Type.String({ pattern: "^[a-z0-9][a-z0-9_-]{0,63}$" });
/** A text without U+0000, which no table can hold. */
export function text(bounds: { minLength?: number; maxLength: number }) {
  return Type.String({ ...bounds, pattern: "^[^\\u0000]*$" });
}

/** A shown name. */
export const DisplayName = text({ minLength: 1, maxLength: 128 });

/** The same, or null. */
export function nullable<T extends TSchema & { type?: unknown; enum?: readonly unknown[] }>(
  schema: T,
) {
  if (nameOf(schema) !== undefined) {
    return Type.Unsafe<Static<T> | null>({ anyOf: [schema, { type: "null" }] });
  }
  return Type.Unsafe<Static<T> | null>({
    ...schema,
    type: [schema.type, "null"],
    ...(schema.enum && { enum: [...schema.enum, null] }),
  });
}

/** An object that takes no other members. */
export function closed<T extends TProperties>(properties: T) {
  return Type.Object(properties, { additionalProperties: false });
}

/** A page of things. */
export function pageOf(item: TSchema): TObject {
  const page = Type.Object({
    data: Type.Array(item, { maxItems: 200 }),
    next: nullable(
      Type.Integer({
        description:
          "What `before` or `after` of the page that follows is; backward, null behind the last page.",
      }),
    ),
  });
  const name = derivedName(item, "Page");
  return name === undefined ? page : named(name, page);
}

const FieldError = named(
  "FieldError",
  Type.Object({
    pointer: Type.String({ description: "JSON pointer of the member." }),
    detail: Type.String(),
  }),
);

/** The form of a failure. */
export const Problem = named(
  "Problem",
  Type.Object(
    {
      type: Type.String({ pattern: "^/problems/[a-z_]+$" }),
      title: Type.String(),
      status: Type.Integer({ minimum: 400, maximum: 599 }),
      detail: Type.String(),
      errors: Type.Optional(Type.Array(FieldError)),
      event_ids: Type.Optional(
        Type.Array(Id, {
          description:
            "Of `/problems/log_unsure`: the messages that may be stored. Ask for each, or repeat the request with its Idempotency-Key.",
        }),
      ),
    },
    { description: "RFC 9457 problem details; `errors` names every faulty member." },
  ),
);

/** Text, or null for an empty one. */
export function textOrNull(text: string): string | null {
  return text === "" ? null : text;
}

/** A drawn integer, or null for none. */
export function numberOrNull(number: bigint): number | null {
  return number === 0n ? null : Number(number);
}

/** RFC 3339, UTC, milliseconds; null for none. */
export function timeOrNull(time: Timestamp | undefined): string | null {
  return time ? timestampDate(time).toISOString() : null;
}
