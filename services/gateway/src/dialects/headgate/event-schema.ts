/** What the native hook takes, as one schema: bodies are checked by it, and the OpenAPI document shows it. */
import { type Static, Type } from "typebox";
import { named } from "./api/named.ts";

/** Names of severities, as senders write them. */
const SEVERITIES = ["critical", "error", "warning", "info", "ok"] as const;
const STATUSES = ["firing", "resolved"] as const;
/** Characters (code points) of text and title, and of a field's value. Native API, "Forms that scripts rely on": 10,000. */
const TEXT_MAX = 10_000;
/** Characters of a dedup_key, and of a field's name. */
const KEY_MAX = 255;
/** Characters of a link. */
const LINK_MAX = 2_048;
/** Fields of one event. */
const FIELDS_MAX = 100;

/** A text that is not empty, without U+0000, which no table can hold. */
function text(maxLength: number) {
  return Type.String({ minLength: 1, maxLength, pattern: "^[^\\u0000]*$" });
}

function oneOf<const Names extends readonly string[]>(names: Names) {
  return Type.Unsafe<Names[number]>({ type: "string", enum: [...names] });
}

/** What a link may be: a host of any kind, and what URLs may hold behind it; nothing that would need mending. */
const LINK_PATTERN = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s\\u0000/?#\\\\]+([/?#][^\\s\\u0000]*)?$";

const FieldSchema = named(
  "EventField",
  Type.Object(
    { name: text(KEY_MAX), value: text(TEXT_MAX), short: Type.Optional(Type.Boolean()) },
    { additionalProperties: false },
  ),
);

/** What an event may hold. */
export const EventMembers = Type.Object(
  {
    text: Type.Optional(text(TEXT_MAX)),
    title: Type.Optional(text(TEXT_MAX)),
    severity: Type.Optional(oneOf(SEVERITIES)),
    dedup_key: Type.Optional(text(KEY_MAX)),
    status: Type.Optional(oneOf(STATUSES)),
    media: Type.Optional(
      Type.Unsafe<readonly []>({
        type: "array",
        items: {},
        maxItems: 0,
        description: "Not available on this server: empty, or absent.",
      }),
    ),
    fields: Type.Optional(Type.Array(FieldSchema, { maxItems: FIELDS_MAX })),
    link: Type.Optional(
      Type.String({
        maxLength: LINK_MAX,
        pattern: LINK_PATTERN,
        description: "An absolute http or https URL.",
      }),
    ),
    props: Type.Optional(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: "Anything; kept as the JSON text that was sent.",
        },
      ),
    ),
  },
  { additionalProperties: false },
);

/** Members of which one must be there. */
export const EVENT_NEEDS_ONE_OF = ["text", "title"] as const;

/** An event, found good. */
export type EventBody = Static<typeof EventMembers>;
/** Names of severities. */
export type SeverityName = (typeof SEVERITIES)[number];

/** One event: a text or a title, or both. */
export const EventSchema = Type.Unsafe<EventBody>({
  ...EventMembers,
  anyOf: EVENT_NEEDS_ONE_OF.map((name) => Type.Object({ [name]: Type.Unknown() })),
});
