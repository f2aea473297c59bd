/** The native hook in OpenAPI: served on the hot way, below the front door's own address. */
import { Type } from "typebox";
import { EVENT_NEEDS_ONE_OF, EventMembers } from "../event-schema.ts";
import { KEY_PATTERN } from "../request.ts";
import { Id, nullable, Problem } from "./forms.ts";
import { MessageForm } from "./message-form.ts";
import { named } from "./named.ts";
import { describeHeadTooLarge, describeProblem } from "./openapi-responses.ts";

const ItemProblem = named(
  "BatchItemProblem",
  Type.Object({
    ...Problem.properties,
    retry_after_seconds: Type.Optional(
      Type.Integer({ minimum: 1, description: "Of an item that may be sent again, alone." }),
    ),
  }),
);

/**
 * EventSchema as one schema per member that must be there: generators of clients make closed types of these, in which a
 * misspelt member is a fault, but none of conditions beside properties.
 */
const OneEvent = named("Event", {
  anyOf: EVENT_NEEDS_ONE_OF.map((name) =>
    named(`EventWith${name.charAt(0).toUpperCase()}${name.slice(1)}`, {
      type: "object",
      properties: EventMembers.properties,
      required: [name],
      additionalProperties: false,
    }),
  ),
});

const Accepted = named("AcceptedEvent", Type.Object({ id: Id, status: Type.Literal("accepted") }));
const Results = named(
  "BatchResult",
  Type.Object({
    data: Type.Array(
      named(
        "BatchItemResult",
        Type.Object({
          index: Type.Integer({ minimum: 0 }),
          id: Type.Optional(nullable(Id)),
          error: Type.Optional(ItemProblem),
        }),
      ),
    ),
  }),
);

const TOKEN = {
  name: "token",
  in: "path",
  required: true,
  description: "The hook's token; it is the secret.",
  schema: Type.String({ pattern: "^hgi_[A-Za-z0-9_-]{43}$" }),
};
const KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "The same key with the same body is one event; kept for 24 h.",
  schema: Type.String({ pattern: KEY_PATTERN }),
};

/** The paths of the native hook. */
export const hookPaths: Record<string, object> = {
  "/in/{token}": {
    post: {
      operationId: "postEvent",
      summary: "Takes one event; answered once the log has it.",
      tags: ["hook"],
      security: [],
      parameters: [
        TOKEN,
        {
          name: "wait",
          in: "query",
          required: false,
          description: "Waits up to 5 s until the message can be read.",
          schema: Type.Unsafe<string>({ type: "string", enum: ["readable"] }),
        },
        KEY,
      ],
      requestBody: { required: true, content: { "application/json": { schema: OneEvent } } },
      responses: {
        201: answer("It can be read.", MessageForm),
        202: answer("It is kept.", Accepted),
        ...problems([400, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 503]),
      },
    },
  },
  "/in/{token}/batch": {
    post: {
      operationId: "postEvents",
      summary: "Takes 1 to 1,000 events; good ones are kept although others are bad.",
      tags: ["hook"],
      security: [],
      parameters: [TOKEN, KEY],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: { type: "array", items: OneEvent, minItems: 1, maxItems: 1000 },
          },
          "application/x-ndjson": { schema: { type: "string" } },
        },
      },
      responses: {
        207: answer("One result per event, in order.", Results),
        ...problems([400, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 503]),
      },
    },
  },
};

function answer(description: string, schema: object) {
  return { description, content: { "application/json": { schema } } };
}

function problems(statuses: readonly number[]): Record<number, object> {
  const described = statuses.map((status) => [status, describeProblem(status)]);
  return { ...Object.fromEntries(described), 431: describeHeadTooLarge() };
}
