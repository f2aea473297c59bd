/** Lists: `limit`, and `before` or `after` to go on, by id or by position. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PageSchema } from "@headgate/proto/registry/v1/management";
import { Type } from "typebox";

/** Things on a page unless the caller says otherwise, and at most. */
const LIMIT = { usual: 50, max: 200 } as const;

const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT.max, default: LIMIT.usual }));

/** Query members of lists by id. */
export const idPage = {
  limit,
  before: Type.Optional(
    Type.String({
      format: "uuid",
      pattern: "^[0-9a-f-]{36}$",
      description: "Goes on to older ones: the `next` of a page that was read so.",
    }),
  ),
  after: Type.Optional(
    Type.String({
      pattern: "^(0|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
      description:
        "0: from the first, oldest first; else the `next` of a page that was read so. Beside before, after counts.",
    }),
  ),
};

/** Query members of lists by position. */
export const positionPage = {
  limit,
  before: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: "Goes on to older ones: the `next` of a page that was read so.",
    }),
  ),
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        "0: from the first, oldest first; else the `next` of a page that was read so. Beside before, after counts.",
    }),
  ),
};

type Asked = { limit?: number; before?: string | number; after?: string | number };

/** The page of a registry list; forward where both directions are asked for. */
export function toIdPage(query: { limit?: number; before?: string; after?: string }) {
  const page: MessageInitShape<typeof PageSchema> = { limit: query.limit ?? LIMIT.usual };
  if (query.before !== undefined) page.bound = { case: "before", value: query.before };
  if (query.after !== undefined) {
    page.bound = { case: "after", value: query.after === "0" ? "" : query.after };
  }
  return page;
}

/** The page of a list by position; forward where both directions are asked for. */
export function toPositionPage(query: { limit?: number; before?: number; after?: number }): {
  limit: number;
  bound?: { case: "before" | "after"; value: bigint };
} {
  const size = query.limit ?? LIMIT.usual;
  if (query.after !== undefined) {
    return { limit: size, bound: { case: "after", value: BigInt(query.after) } };
  }
  if (query.before === undefined) return { limit: size };
  return { limit: size, bound: { case: "before", value: BigInt(query.before) } };
}

/**
 * The answer of a list. Forward, `next` is always there, so that a poller can come back with it; backward it ends with the
 * last thing: `isLast` says that none are left. `cursorOf` names a thing's place.
 */
export function renderPage<T>(
  query: Asked,
  found: readonly T[],
  form: { cursorOf: (thing: T) => string; render: (thing: T) => object; isLast: boolean },
): { data: object[]; next: string | null } {
  const last = found.at(-1);
  const cursor = last === undefined ? undefined : form.cursorOf(last);
  const data = found.map(form.render);
  if (query.after !== undefined) return { data, next: cursor ?? String(query.after) };
  return { data, next: form.isLast ? null : (cursor ?? null) };
}

/** Whether fewer things came than were asked for, so that none are left. */
export function isShort(query: Asked, found: readonly unknown[]): boolean {
  return found.length < (query.limit ?? LIMIT.usual);
}
