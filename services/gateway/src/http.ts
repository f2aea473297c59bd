/** The front door: the hot way first, then Express with the management APIs, then a 404 in our own words. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { BlockList } from "node:net";
import { AppError } from "@headgate/kit/errors";
import { type HttpServer, serveHttp } from "@headgate/kit/http";
import type { Log } from "@headgate/kit/log";
import express, { type Express, type Router } from "express";
import { observeApi } from "./api-spans.ts";
import type { Dialect, Gate } from "./dialect.ts";
import { renderError } from "./dialects/headgate/errors.ts";
import { writeReply } from "./reply.ts";
import { peerKey } from "./source.ts";
import { createTraceId } from "./trace-ids.ts";

/** Where the native API lives. */
export const API_BASE = "/api/headgate/v1";

/** What the front door needs. */
export type HttpDeps = {
  host: string;
  port: number;
  hot: (req: IncomingMessage, res: ServerResponse) => boolean;
  /** Answers everything under API_BASE. */
  api: Router | undefined;
  dialects: readonly Dialect[];
  gate: Gate;
  /** Connections at once: of all clients, and of one client address. Trusted proxies are bounded by the first alone. */
  connections: { readonly max: number; readonly perSourceMax: number };
  trustedProxies: BlockList;
  log: Log;
};

/** Opens the front door. Disposing drains it. */
export function openFrontDoor({
  host,
  port,
  hot,
  api,
  dialects,
  gate,
  connections,
  trustedProxies,
  log,
}: HttpDeps): Promise<HttpServer> {
  const app = createApp({ api, dialects, gate, log });
  return serveHttp({
    host,
    port,
    hot,
    app: observeApi(app),
    log,
    connectionsMax: connections.max,
    perClient: {
      connectionsMax: connections.perSourceMax,
      keyOf: (address) => peerKey(address, trustedProxies),
    },
  });
}

/** What is not a hook request. Body parsers sit on the routes of each API, not here. */
function createApp({
  api,
  dialects,
  gate,
  log,
}: Pick<HttpDeps, "api" | "dialects" | "gate" | "log">): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  if (api) app.use(API_BASE, api);
  for (const dialect of dialects) if (dialect.api) app.use(dialect.api(gate));
  app.use((req, res) => {
    const error = new AppError("not_found", "path_unknown", "There is nothing here.");
    writeReply(req, res, renderError(error), requestIdOf(res));
  });
  // Express knows an error handler by its four parameters.
  app.use((thrown: unknown, req: IncomingMessage, res: ServerResponse, _next: unknown) => {
    const error = fromExpress(thrown);
    if (error.code === "internal")
      log.error("http request failed", { error: error.cause ?? error });
    if (res.headersSent) res.destroy();
    else writeReply(req, res, renderError(error), requestIdOf(res));
  });
  return app;
}

function requestIdOf(res: ServerResponse): string {
  const id = res.getHeader("X-Request-Id");
  res.removeHeader("X-Request-Id"); // writeReply writes it again
  return typeof id === "string" ? id : createTraceId();
}

/** Errors of Express and its parsers carry a status; those of ours are AppErrors. */
function fromExpress(thrown: unknown): AppError {
  if (thrown instanceof AppError || typeof thrown !== "object" || thrown === null)
    return AppError.from(thrown);
  const status = "status" in thrown ? thrown.status : undefined;
  if (typeof status !== "number" || status < 400 || status > 499) return AppError.from(thrown);
  return new AppError("invalid_argument", "request_malformed", "The request could not be read.", {
    http: status,
    cause: thrown,
  });
}
