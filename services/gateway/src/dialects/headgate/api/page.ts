/** Lists: `limit`, and `before` or `after` to go on, by position. */
import { Type } from "typebox";

/** Things on a page unless the caller says otherwise, and at most. */
const LIMIT = { usual: 50, max: 200 } as const;

const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT.max, default: LIMIT.usual }));

/** Query members of every list: positions, in the order of creation. */
export const pageQuery = {
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

/** Query member of lists whose things have names. */
export const nameQuery = {
  name: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: "^[^\\u0000]*$",
      description: "Only those of exactly this name.",
    }),
  ),
};

type Asked = { limit?: number; before?: number; after?: number };

/** The page of a list; forward where both directions are asked for. */
export function toPage(query: { limit?: number; before?: number; after?: number }): {
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
 * last thing: `isLast` says that none are left.
 */
export function renderPage<T extends { position: bigint }>(
  query: Asked,
  found: readonly T[],
  form: { render: (thing: T) => object; isLast: boolean },
): { data: object[]; next: number | null } {
  const last = found.at(-1);
  const cursor = last && Number(last.position);
  const data = found.map(form.render);
  if (query.after !== undefined) return { data, next: cursor ?? query.after };
  return { data, next: form.isLast ? null : (cursor ?? null) };
}

/** Whether fewer things came than were asked for, so that none are left. */
export function isShort(query: Asked, found: readonly unknown[]): boolean {
  return found.length < (query.limit ?? LIMIT.usual);
}
