/** Checks requests against their schemas and names every fault by a JSON pointer. */
import { AppError, type Fault } from "@headgate/kit/errors";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { TSchema } from "typebox";

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
  return (schema) => (value) =>
    // Ajv keeps what it compiled by the schema.
    findFaults((isLarge(value) ? first : all).compile(schema), value);
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
  // "if" only repeats that there are faults, which stand beside it.
  const errors = (validate.errors ?? []).filter(({ keyword }) => keyword !== "if");
  return errors.slice(0, FAULTS_MAX).map(toFault);
}

function toFault({ keyword, instancePath, params, message }: ErrorObject): Fault {
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
    case "enum":
      return {
        pointer: instancePath,
        detail: `must be one of ${params.allowedValues.map(String).join(", ")}`,
      };
    case "const":
      return { pointer: instancePath, detail: `must be ${JSON.stringify(params.allowedValue)}` };
    case "discriminator":
      return {
        pointer: `${instancePath}/${escapeName(params.tag)}`,
        detail: params.error === "tag" ? "must be a text" : "is none that is known here",
      };
    default:
      return { pointer: instancePath, detail: message ?? "is not valid" };
  }
}

function escapeName(name: string): string {
  const shown = name.length > NAME_SHOWN_MAX ? `${name.slice(0, NAME_SHOWN_MAX)}…` : name;
  return shown.toWellFormed().replaceAll("~", "~0").replaceAll("/", "~1");
}
