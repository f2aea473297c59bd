import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { Router } from "express";
import { expect, test } from "vitest";
import { openApi } from "./fake-api.ts";
import { createCompiler } from "./validate.ts";

type Operation = {
  operationId: string;
  responses: Record<
    string,
    {
      content?: Record<string, { schema: object }>;
      links?: Record<string, { operationId: string }>;
    }
  >;
  requestBody?: { content: Record<string, { schema: object }> };
  parameters?: { name: string; in: string; schema: object }[];
};
type Document = {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
};

/** Method and path of everything that Express was told to answer, but the 405s. */
function mounted(router: Router): string[] {
  return router.stack.flatMap(({ route }) => {
    const methods = route?.stack.flatMap(({ method }) => (method ? [method] : [])) ?? [];
    const path = route?.path.replaceAll(/:(\w+)/g, "{$1}");
    return methods.map((method) => `${method} /api/headgate/v1${path}`);
  });
}

async function readDocument(): Promise<{ document: Document; routes: string[] }> {
  await using api = await openApi();
  const { json } = await api.send("/openapi.json", { token: undefined });
  return { document: json, routes: mounted(api.router) };
}

test("every route is described, and nothing else but the native hook", async () => {
  const { document, routes } = await readDocument();
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  );
  expect(routes.length).toBeGreaterThan(40);
  expect([...routes, "post /in/{token}", "post /in/{token}/batch"].sort()).toEqual(
    described.sort(),
  );
});

test("operation ids are unique, and parameters of paths are declared", async () => {
  const { document } = await readDocument();
  const ids: string[] = [];
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const operation of Object.values(operations)) {
      ids.push(operation.operationId);
      const named = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(named.map(({ name }) => name)).toEqual(wanted);
    }
  }
  expect(new Set(ids).size).toBe(ids.length);
});

test("every schema is a good one, and every answer that is no success is a problem", async () => {
  const { document } = await readDocument();
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, discriminator: true });
  addFormats.default(ajv);
  for (const operations of Object.values(document.paths)) {
    for (const { parameters = [], requestBody, responses } of Object.values(operations)) {
      for (const { schema } of parameters) expect(ajv.validateSchema(schema)).toBe(true);
      for (const { schema } of Object.values(requestBody?.content ?? {})) {
        expect(ajv.validateSchema(schema)).toBe(true);
      }
      for (const [status, { content = {} }] of Object.entries(responses)) {
        if (status === "431") {
          expect(Object.keys(content)).toEqual(["text/plain"]); // refused before any path is looked at
        } else if (Number(status) >= 400) {
          expect(Object.keys(content)).toEqual(["application/problem+json"]);
        } else {
          for (const { schema } of Object.values(content))
            expect(ajv.validateSchema(schema)).toBe(true);
        }
      }
    }
  }
});

test("what a create made leads on to every operation on it", async () => {
  const { document } = await readDocument();
  const links = document.paths["/api/headgate/v1/tokens"]?.post?.responses[201]?.links;
  expect(links).toEqual({
    getToken: { operationId: "getToken", parameters: { token_id: "$response.body#/id" } },
    revokeToken: { operationId: "revokeToken", parameters: { token_id: "$response.body#/id" } },
  });
});

test("every schema of a request compiles, strictly", async () => {
  await using api = await openApi();
  const compile = createCompiler();
  for (const { body, query } of api.routes) {
    if (query) expect(compile(query)({})).toEqual([]);
    if (body) expect(compile(body)("not an object").length).toBeGreaterThan(0);
  }
});

test("every model has a name, and no name stands for two", async () => {
  const { document } = await readDocument();
  const schemas = Object.keys(document.components.schemas);
  expect(schemas).toEqual(expect.arrayContaining(["Message", "MessagePage", "Event", "Problem"]));
  const referred = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)];
  expect([...new Set(referred.map(([, name]) => name))].sort()).toEqual(schemas.sort());
  for (const operations of Object.values(document.paths)) {
    for (const { operationId, requestBody, responses } of Object.values(operations)) {
      const contents = [
        requestBody?.content,
        ...Object.values(responses).map(({ content }) => content),
      ];
      const shown = contents.flatMap((content) => Object.values(content ?? {}));
      const anonymous = shown.filter(
        ({ schema }) => "properties" in schema && operationId !== "getOpenApi",
      );
      expect([operationId, anonymous]).toEqual([operationId, []]);
    }
  }
});

test("a cursor of a list is of the type of the parameters that take it, and the stream says how it is resumed", async () => {
  const { document } = await readDocument();
  const base = "/api/headgate/v1";
  const list = document.paths[`${base}/channels`]?.get?.parameters ?? [];
  for (const name of ["before", "after"]) {
    expect(list.find((parameter) => parameter.name === name)?.schema).toMatchObject({
      type: "integer",
    });
  }
  const pages = Object.entries(document.components.schemas).filter(([name]) =>
    name.endsWith("Page"),
  );
  expect(pages.length).toBeGreaterThan(5);
  for (const [, page] of pages) {
    expect(page).toMatchObject({ properties: { next: { type: ["integer", "null"] } } });
  }
  const stream = document.paths[`${base}/stream`]?.get?.parameters ?? [];
  expect(stream.map(({ name, in: place }) => `${place} ${name}`)).toContain("header Last-Event-ID");
});

test("the page to read shows every operation and every schema, and may run and load nothing", async () => {
  await using api = await openApi();
  const { status, headers, json: page } = await api.send("/docs", { token: undefined });
  const { json: document } = await api.send("/openapi.json", { token: undefined });
  expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-/);
  expect(page).not.toMatch(/<script|src=|https?:\/\/(?!headgate)/);
  for (const path of Object.keys(document.paths)) expect(page).toContain(path);
  for (const name of Object.keys(document.components.schemas)) {
    expect(page).toContain(`id="schema-${name}"`);
  }
  expect(page).not.toContain("undefined");
});
