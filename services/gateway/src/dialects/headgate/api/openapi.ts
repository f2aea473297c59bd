/** The contract as OpenAPI 3.1, made from the routes: what is not declared there does not exist. */
import { Type } from "typebox";
import { KEY_PATTERN } from "../request.ts";
import { SESSION_COOKIE } from "./caller.ts";
import { API_BASE } from "./created.ts";
import { createDocsRoutes, type Described } from "./docs.ts";
import { Id } from "./forms.ts";
import { type Json, named, nameOf, withReferences } from "./named.ts";
import { hookPaths } from "./openapi-hooks.ts";
import { describeHeadTooLarge, describeProblem, describeResponse } from "./openapi-responses.ts";
import { type AnyRoute, route } from "./route.ts";

/** Problems that any request may meet. */
const PROBLEMS_ALWAYS = [400, 429, 500, 503];
/** Problems of reading a body. */
const PROBLEMS_OF_BODIES = [408, 413, 415, 422];

/** The route that shows the contract. */
export function createOpenApiRoutes({
  routes,
  publicUrl,
}: {
  routes: readonly AnyRoute[];
  publicUrl: string;
}): AnyRoute[] {
  const self = route({
    method: "get",
    path: "/openapi.json",
    operationId: "getOpenApi",
    summary: "This description.",
    tag: "description",
    isPublic: true,
    responses: { 200: { description: "OpenAPI 3.1.", schema: Type.Object({}) } },
    handler: async () => ({ status: 200, body: document }),
  });
  const docs = createDocsRoutes(() => document as unknown as Described); // what describe() makes, in its readers' words
  const document = describe([...routes, self, ...docs], publicUrl);
  return [self, ...docs];
}

/** The whole description. */
export function describe(routes: readonly AnyRoute[], publicUrl: string) {
  const paths: Record<string, Record<string, object>> = {};
  for (const declared of routes) {
    const path = API_BASE + declared.path;
    paths[path] = {
      ...paths[path],
      [declared.method]: describeRoute(declared, routes),
    };
  }
  const schemas = new Map<string, Json>();
  const described = withReferences({ ...paths, ...hookPaths }, schemas);
  return {
    openapi: "3.1.0",
    info: {
      title: "Headgate",
      version: "1",
      description: "Takes webhooks and alerts, and puts them where people look.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: publicUrl }],
    security: [{ bearer: [] }, { session: [] }],
    paths: described,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: SESSION_COOKIE },
      },
      schemas: Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

function describeRoute(declared: AnyRoute, routes: readonly AnyRoute[]) {
  const parameters = [
    ...Object.keys(declared.params ?? {}).map((name) => ({
      name,
      in: "path",
      required: true,
      schema: Id,
    })),
    ...Object.entries(declared.query?.properties ?? {}).map(([name, schema]) => ({
      name,
      in: "query",
      required: false,
      schema,
    })),
    ...Object.entries(declared.headers ?? {}).map(([name, schema]) => ({
      name,
      in: "header",
      required: false,
      schema,
    })),
    ...(declared.method === "post" && !declared.isPublic ? [IDEMPOTENCY_KEY] : []),
  ];
  return {
    operationId: declared.operationId,
    summary: declared.summary,
    ...(declared.description && { description: declared.description }),
    tags: [declared.tag],
    ...(declared.isPublic && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(declared.body && {
      requestBody: {
        required: true,
        content: { "application/json": { schema: namedBody(declared) } },
      },
    }),
    responses: describeResponses(declared, routes),
  };
}

/** A body without a name of its own is named by its operation. */
function namedBody({ operationId, body }: AnyRoute): object {
  if (body === undefined || nameOf(body) !== undefined) return body ?? {};
  return named(`${operationId.charAt(0).toUpperCase()}${operationId.slice(1)}Body`, { ...body });
}

function describeResponses(
  declared: AnyRoute,
  routes: readonly AnyRoute[],
): Record<string, object> {
  const problems = new Set([...PROBLEMS_ALWAYS, ...(declared.problems ?? [])]);
  if (!declared.isPublic) problems.add(401);
  if (!declared.isPublic && declared.method !== "get") problems.add(403);
  if (declared.params) problems.add(404);
  if (declared.body) for (const status of PROBLEMS_OF_BODIES) problems.add(status);
  if (declared.method === "post" && !declared.isPublic)
    for (const status of [409, 422]) problems.add(status);
  const described: Record<string, object> = {};
  for (const [status, spec] of Object.entries(declared.responses)) {
    const links = spec.made === undefined ? {} : linksTo(spec.made, routes);
    described[status] = { ...describeResponse(spec), ...links };
  }
  for (const status of [...problems].sort()) described[status] = describeProblem(status);
  described[431] = describeHeadTooLarge();
  return described;
}

/** The operations on a thing, each with the parameter that takes its id. */
function linksTo(noun: string, routes: readonly AnyRoute[]): { links: Record<string, object> } {
  const links: Record<string, object> = {};
  for (const { operationId, params = {} } of routes) {
    const name = Object.keys(params).find((key) => params[key] === noun);
    if (name !== undefined) {
      links[operationId] = { operationId, parameters: { [name]: "$response.body#/id" } };
    }
  }
  return { links };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "The same key, for the same path and body, does the thing once; kept for 24 h.",
  schema: Type.String({ pattern: KEY_PATTERN }),
};
