/** What a request of the management APIs leaves behind: its span, its duration, and the id that its answer carries. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ATTR } from "@headgate/kit/semconv";
import { parseTraceparent, startSpan, tracing, withSpan } from "@headgate/kit/telemetry";
import { createRequestDurations } from "./request-durations.ts";
import { createTraceId } from "./trace-ids.ts";

type Handle = (req: IncomingMessage, res: ServerResponse) => void;

/** What Express writes on a request when it has found its route. */
type Routed = { readonly baseUrl?: string; readonly route?: { readonly path?: unknown } };

/** Gives every answer its X-Request-Id, which is the id of the request's trace, and measures it. */
export function observeApi(app: Handle): Handle {
  const recordDuration = createRequestDurations();

  return function observed(req, res) {
    const startedMs = performance.now();
    const method = req.method ?? "";
    const span = tracing() ? openSpan(req, method) : undefined;
    res.setHeader("X-Request-Id", span?.context?.traceId ?? createTraceId());
    res.once("close", () => {
      const route = routeOf(req);
      recordDuration(method, route, res.statusCode, performance.now() - startedMs);
      if (!span) return;
      if (route !== undefined) span.rename(`${method} ${route}`);
      span.set({
        [ATTR.httpStatus]: res.statusCode,
        ...(route !== undefined && { [ATTR.httpRoute]: route }),
      });
      if (res.statusCode >= 500) span.fail(String(res.statusCode));
      span.end();
    });
    if (span) withSpan(span, () => app(req, res));
    else app(req, res);
  };
}

function openSpan(req: IncomingMessage, method: string) {
  const { traceparent } = req.headers;
  const caller = parseTraceparent(typeof traceparent === "string" ? traceparent : traceparent?.[0]);
  return startSpan(method, {
    kind: "server",
    root: true,
    links: caller ? [caller] : [],
    attributes: { [ATTR.httpMethod]: method, [ATTR.urlScheme]: "http" },
  });
}

/** The template of the route that answered, `/api/headgate/v1/channels/{id}`; undefined when none did. */
function routeOf(req: IncomingMessage): string | undefined {
  const { baseUrl, route } = req as Routed; // it is the very request that Express was given
  if (typeof route?.path !== "string") return undefined;
  return `${baseUrl ?? ""}${route.path}`.replace(/:(\w+)/g, "{$1}");
}
