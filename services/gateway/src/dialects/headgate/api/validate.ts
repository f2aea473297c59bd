/** Checks requests against their schemas and names every fault by a JSON pointer. */
import { AppError, type Fault } from "@headgate/kit/errors";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { TSchema } from "typebox";
import { addQuickLengths, withQuickLengths } from "./quick-lengths.ts";

/** Faults told; more would only make the answer long. */
const FAULTS_MAX = 100;
/** Values of a body up to which all errors are looked for: each unknown member costs some microseconds more. */
const ALL_ERRORS_VALUES_MAX = 1_000;
/** Code units of a member's name that are repeated in a fault. */
const NAME_SHOWN_MAX = 64;

/** All faults of a value, only the first one where it holds more than 1,000 values; none when it is good. */
export type Check = (value: unknown) => Fault[];

/** A compiler of schemas; each is compiled when it is first asked, so that starting waits for none. */
export function createCompiler(): (schema: TSchema) => Check {
  const all = createAjv(true);
  const first = createAjv(false);
  const quick = createAjv(false);
  addQuickLengths(quick);
  return (schema) => {
    let isGood: ValidateFunction | undefined;
    return (value) => {
      isGood ??= quick.compile(withQuickLengths(schema));
      if (isGood(value)) return [];
      // Ajv keeps what it compiled by the schema.
      return findFaults((isLarge(value) ? first : all).compile(schema), value);
    };
  };
}

function createAjv(allErrors: boolean): Ajv2020 {
  const ajv = new Ajv2020({ allErrors, strict: true, allowUnionTypes: true, discriminator: true });
  addFormats.default(ajv, ["uuid", "date-time", "email", "uri"]);
  return ajv;
}

/** Whether a value holds more values than all errors are looked for in. Looks at no more than those. */
function isLarge(value: unknown): boolean {
  let left = ALL_ERRORS_VALUES_MAX;
  const waiting = [value];
  for (let inner = waiting.pop(); inner !== undefined; inner = waiting.pop()) {
    if (typeof inner !== "object" || inner === null) continue;
    const values: unknown[] = Object.values(inner);
    left -= values.length;
    if (left < 0) return true;
    waiting.push(...values);
  }
  return false;
}

/** A refusal of a body for its members. */
export function bodyInvalid(faults: readonly Fault[]): AppError {
  return new AppError("invalid_argument", "body_invalid", "The body has faults.", {
    faults,
    http: 422,
  });
}

/** A refusal of a query for its parameters. */
export function queryInvalid(faults: readonly Fault[]): AppError {
  return new AppError("invalid_argument", "query_invalid", "The query has faults.", { faults });
}

/** Places of texts with U+0000, which no table can hold. */
export function findNuls(value: unknown, pointer = ""): Fault[] {
  if (typeof value === "string") {
    return value.includes("\0") ? [{ pointer, detail: "must not hold U+0000" }] : [];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name.includes("\0")
      ? [{ pointer, detail: "must not hold U+0000 in a name" }]
      : findNuls(inner, `${pointer}/${escapeName(name)}`),
  );
}

function findFaults(validate: ValidateFunction, value: unknown): Fault[] {
  if (validate(value)) return [];
  const errors = validate.errors ?? [];
  const needed = errors.filter(({ schemaPath }) => NEEDED.test(schemaPath));
  const own = errors.filter((error) => isShown(error, needed));
  // Whatever is invalid has a fault.
  const shown = own.length > 0 ? own.slice(0, FAULTS_MAX) : errors.slice(0, 1);
  return shown.map((error) => toFault(error, needed));
}

/** Errors of the branches of "anyOf". */
const BRANCH = /\/anyOf\/\d+\//;
/** Those that ask for a member. */
const NEEDED = /\/anyOf\/\d+\/required$/;

/** "if" only repeats that there are faults, which stand beside it; what "anyOf" needs is said at once, or by the type. */
function isShown({ keyword, schemaPath }: ErrorObject, needed: readonly ErrorObject[]): boolean {
  if (keyword === "if" || BRANCH.test(schemaPath)) return false;
  return keyword !== "anyOf" || needed.length > 0;
}

const NO_NUL = "^[^\\u0000]*$";
const TYPES: Readonly<Record<string, string>> = {
  string: "a string",
  array: "an array",
  object: "an object",
  boolean: "true or false",
  integer: "a whole number",
  number: "a number",
  null: "null",
};

function toFault(error: ErrorObject, needed: readonly ErrorObject[]): Fault {
  const { keyword, instancePath, params } = error;
  switch (keyword) {
    case "required":
      return {
        pointer: `${instancePath}/${escapeName(params.missingProperty)}`,
        detail: "is missing",
      };
    case "additionalProperties":
      return {
        pointer: `${instancePath}/${escapeName(params.additionalProperty)}`,
        detail: "is not a member that is known here",
      };
    case "discriminator":
      return {
        pointer: `${instancePath}/${escapeName(params.tag)}`,
        detail: params.error === "tag" ? "must be a text" : "is none that is known here",
      };
    default:
      return { pointer: instancePath, detail: describe(error, needed) };
  }
}

function describe(
  { keyword, instancePath, params, message = "is not valid" }: ErrorObject,
  needed: readonly ErrorObject[],
): string {
  switch (keyword) {
    case "enum":
      return `must be one of ${params.allowedValues.map(String).join(", ")}`;
    case "const":
      return `must be ${JSON.stringify(params.allowedValue)}`;
    case "type":
      return `must be ${[params.type].flat().map(nameOfType).join(" or ")}`;
    case "minLength":
      return params.limit === 1 ? "must not be empty" : message;
    case "maxLength":
      return `must have at most ${params.limit} characters`;
    case "maxItems":
      return `must have at most ${params.limit} items`;
    case "pattern":
      return params.pattern === NO_NUL ? "must not hold U+0000" : message;
    case "anyOf": {
      const here = needed.filter((error) => error.instancePath === instancePath);
      const names = here.map((error) => String(error.params.missingProperty));
      return names.length > 0 ? `needs ${names.join(" or ")}` : message;
    }
    default:
      return message;
  }
}

function nameOfType(type: unknown): string {
  return TYPES[String(type)] ?? String(type);
}

function escapeName(name: string): string {
  const shown = name.length > NAME_SHOWN_MAX ? `${name.slice(0, NAME_SHOWN_MAX)}…` : name;
  return shown.toWellFormed().replaceAll("~", "~0").replaceAll("/", "~1");
}
