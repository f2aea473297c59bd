/**
 * Lengths of texts by code units, which cost nothing, where JSON Schema counts characters one by one: most of the time of checking a
 * good body went there. What passes by code units passes by characters, too, unless a schema
 * asks for lengths below `if` or `not`; what does not pass is checked again, exactly.
 */
import { _, type Ajv2020, type KeywordCxt } from "ajv/dist/2020.js";
import type { TSchema } from "typebox";

/** Teaches an Ajv the two keywords. */
export function addQuickLengths(ajv: Ajv2020): void {
  const words = { type: "string", schemaType: "number" } as const;
  ajv.addKeyword({
    ...words,
    keyword: "unitsMax",
    code: (cxt: KeywordCxt) => cxt.fail(_`${cxt.data}.length > ${cxt.schema}`),
  });
  ajv.addKeyword({
    ...words,
    keyword: "unitsMin",
    code: (cxt: KeywordCxt) => cxt.fail(_`${cxt.data}.length < ${cxt.schema}`),
  });
}

/** The schema with lengths by code units; a character takes one or two of them. */
export function withQuickLengths(schema: TSchema): TSchema {
  return JSON.parse(JSON.stringify(schema), (_name, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    const { minLength, maxLength, ...rest } = inner as Record<string, unknown>;
    return {
      ...rest,
      ...(typeof maxLength === "number" && { unitsMax: maxLength }),
      ...(typeof minLength === "number" && { unitsMin: minLength > 1 ? minLength * 2 : minLength }),
      // A member of this name in a body.
      ...(typeof minLength === "object" && { minLength }),
      ...(typeof maxLength === "object" && { maxLength }),
    };
  }) as TSchema;
}
