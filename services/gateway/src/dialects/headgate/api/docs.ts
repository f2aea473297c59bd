/** GET /docs: the OpenAPI description as a page to read. Made once, on the server; it runs no script and loads nothing. */
import { createHash } from "node:crypto";
import { Type } from "typebox";
import { type AnyRoute, route } from "./route.ts";

type Schema = Readonly<Record<string, unknown>>;
type Content = Readonly<Record<string, { readonly schema?: Schema }>>;
type Operation = {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly description?: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Content }>
  >;
};
/** A description, as far as the page shows it. */
export type Described = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
};

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
code,pre{font:14px/1.5 ui-monospace,monospace}pre{background:#f4f4f6;padding:.75rem;overflow:auto}
section{border-top:1px solid #ccc;padding:.5rem 0}h3 code{font-size:1rem}th,td{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#eee;background:#16161a}pre{background:#232329}a{color:#8ab4ff}}`;
const STYLE_DIGEST = createHash("sha256").update(STYLE).digest("base64");
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_DIGEST}'; base-uri 'none'; frame-ancestors 'none'`;

/** The route. `describe` is asked once, when the page is first read. */
export function createDocsRoutes(describe: () => Described): AnyRoute[] {
  let page: string | undefined;
  return [
    route({
      method: "get",
      path: "/docs",
      operationId: "getDocs",
      summary: "This description as a page to read.",
      tag: "description",
      isPublic: true,
      responses: {
        200: { description: "The page.", contentType: "text/html", schema: Type.String() },
      },
      async handler({ req, res }) {
        page ??= renderPage(describe());
        res.statusCode = 200;
        res.setHeader("Content-Type", "text/html; charset=utf-8");
        res.setHeader("Content-Security-Policy", POLICY);
        res.setHeader("X-Content-Type-Options", "nosniff");
        res.setHeader("Cache-Control", "no-store");
        res.setHeader("Content-Length", Buffer.byteLength(page));
        res.end(req.method === "HEAD" ? undefined : page);
        return undefined;
      },
    }),
  ];
}

function renderPage({ paths, components }: Described): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const byTag = Map.groupBy(operations, ({ operation }) => operation.tags?.[0] ?? "");
  const parts = [...byTag].map(([tag, list]) => {
    const sections = list.map(({ path, method, operation }) => {
      return renderOperation(path, method, operation);
    });
    return `<h2 id="${escapeHtml(tag)}">${escapeHtml(tag)}</h2>${sections.join("")}`;
  });
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<section id="schema-${escapeHtml(name)}"><h3>${escapeHtml(name)}</h3><pre>${linkSchemas(
        escapeHtml(JSON.stringify(schema, null, 2)),
      )}</pre></section>`,
  );
  const tags = [...byTag.keys()].map(
    (tag) => `<a href="#${escapeHtml(tag)}">${escapeHtml(tag)}</a>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Headgate API</title>
<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head><body><h1>Headgate API</h1>
<p>For machines: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1). ${tags.join(" · ")} · <a href="#schemas">schemas</a></p>
${parts.join("\n")}<h2 id="schemas">schemas</h2>${schemas.join("\n")}</body></html>`;
}

function renderOperation(path: string, method: string, operation: Operation): string {
  const { operationId = "", summary = "", description = "", parameters = [] } = operation;
  const rows = parameters.map(
    ({ name, in: place, description: words, schema }) =>
      `<tr><td><code>${escapeHtml(name)}</code></td><td>${escapeHtml(place)}</td><td>${escapeHtml(
        words ?? String(schema.description ?? ""),
      )}</td></tr>`,
  );
  const body = renderContent(operation.requestBody?.content);
  const answers = Object.entries(operation.responses).map(
    ([status, answer]) =>
      `<tr><td>${escapeHtml(status)}</td><td>${escapeHtml(answer.description)}</td><td>${renderContent(answer.content)}</td></tr>`,
  );
  const words = description.split("\n\n").map((text) => `<p>${escapeHtml(text)}</p>`);
  return `<section id="${escapeHtml(operationId)}"><h3><code>${method.toUpperCase()} ${escapeHtml(path)}</code></h3>
<p>${escapeHtml(summary)}</p>${description === "" ? "" : words.join("")}
${rows.length > 0 ? `<table>${rows.join("")}</table>` : ""}${body === "" ? "" : `<p>Body: ${body}</p>`}
<details><summary>Answers</summary><table>${answers.join("")}</table></details></section>`;
}

function renderContent(content: Content = {}): string {
  return Object.entries(content)
    .map(([type, { schema = {} }]) => {
      const shown = typeof schema.$ref === "string" ? schema.$ref : JSON.stringify(schema);
      return `${escapeHtml(type)} <code>${linkSchemas(escapeHtml(shown))}</code>`;
    })
    .join(", ");
}

/** References become links. */
function linkSchemas(escaped: string): string {
  return escaped.replaceAll(
    /#\/components\/schemas\/(\w+)/g,
    (_, name) => `<a href="#schema-${name}">${name}</a>`,
  );
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
