/**
 * Names of schemas in OpenAPI: generators of clients make one type of each, under its name. A name is a symbol on the
 * schema, which JSON and validators pass over.
 */
import type { TSchema } from "typebox";

const NAME = Symbol("name in OpenAPI");

type Named = { readonly [NAME]?: string };
/** JSON, as far as a description is made of it. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Gives a schema its name. Of schemas that are made from it only Optional keeps it. */
export function named<T extends TSchema | object>(name: string, schema: T): T {
  return Object.defineProperty(schema, NAME, { value: name, enumerable: true });
}

/** The name of a schema; undefined: it has none. */
export function nameOf(schema: object): string | undefined {
  return (schema as Named)[NAME];
}

/** The name of a schema made from another: "Pages" of "Message". */
export function derivedName(schema: object, ending: string): string | undefined {
  const name = nameOf(schema);
  return name === undefined ? undefined : name + ending;
}

/**
 * A description as plain JSON, in which every named schema is a reference; the schemas are put into `components`.
 * @throws Error when two different schemas have one name
 */
export function withReferences(value: unknown, components: Map<string, Json>): Json {
  if (Array.isArray(value)) return value.map((inner) => withReferences(inner, components));
  if (typeof value !== "object" || value === null) return value as Json; // a scalar of a description
  const name = nameOf(value);
  if (name === undefined) return plain(value, components);
  const schema = plain(value, components);
  const known = components.get(name);
  if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) {
    throw new Error(`two schemas are named ${name}`);
  }
  components.set(name, schema);
  return { $ref: `#/components/schemas/${name}` };
}

function plain(value: object, components: Map<string, Json>): Json {
  const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    members.map(([key, inner]) => [key, withReferences(inner, components)]),
  );
}
