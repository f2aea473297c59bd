/** Checks requests against their schemas and names every fault by a JSON pointer. */
import { AppError, type Fault } from "@headgate/kit/errors";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { TSchema } from "typebox";

/** Faults told; more would only make the answer long. */
const FAULTS_MAX = 100;
/** Code units of a member's name that are repeated in a fault. */
const NAME_SHOWN_MAX = 64;

/** All faults of a value; none when it is good. */
export type Check = (value: unknown) => Fault[];

/** A compiler of schemas; each is compiled when it is first asked, so that starting waits for none. */
export function createCompiler(): (schema: TSchema) => Check {
  const ajv = new Ajv2020({
    allErrors: true,
    strict: true,
    allowUnionTypes: true,
    discriminator: true,
  });
  addFormats.default(ajv, ["uuid", "date-time", "email", "uri"]);
  return (schema) => {
    let validate: ValidateFunction | undefined;
    return (value) => {
      validate ??= ajv.compile(schema);
      return findFaults(validate, value);
    };
  };
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
