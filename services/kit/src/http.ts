/** The HTTP door: one bare node:http server, a hot handler asked first, Express (or any handler) for the rest. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { boundClients, type ClientBound, guardSockets, refuseHead } from "./http/guard.ts";
import { closeInTurn } from "./http/linger.ts";
import { listen, stopServer } from "./http/listen.ts";
import { useOriginForm } from "./http/target.ts";
import type { Log } from "./log.ts";

export { type BodyRoom, readBody } from "./http/body.ts";
export { errorHeaders, sendJson } from "./http/reply.ts";

/** A server that listens. Disposing it drains it. */
export type HttpServer = AsyncDisposable & {
  /** The port that is listened on. */
  readonly port: number;
};

/** ms an idle kept-alive connection is held; above the 60 s of common load balancers. */
const KEEP_ALIVE_MS = 75_000;
/** ms for the headers of a request; above the keep-alive time, so that a proxy never meets a closing connection. */
const HEADERS_MS = 80_000;
/** ms for a new connection to bring the headers of its first request, against those that only hold it open. */
const FIRST_HEADERS_MS = 15_000;
/** ms for a request to arrive whole; bodies on the hot way have a shorter limit of their own (`readBody`). */
const REQUEST_MS = 90_000;
/** Connections at once, of all clients; more are closed as they come. */
const CONNECTIONS_MAX = 20_000;
/** Bytes of request line and headers. */
const HEADERS_BYTES_MAX = 16 * 1024;
/** ms, while draining, in which kept connections still get an answer with `Connection: close` before idle ones are cut. */
const DRAIN_GRACE_MS = 500;
const DRAIN_MS = 10_000;

/**
 * Serves HTTP/1.1. `hot` is asked first and returns true when it took the request; all others go to `app`. A malformed
 * request is answered 400, too large or too many headers 431, a request that does not arrive in time 408. A sender that ends
 * its half of the connection behind a whole request gets its answer.
 * Disposing: no new connections, `Connection: close` on every answer, running requests finished (`drainMs`, 10 s), then cut.
 */
export async function serveHttp(options: {
  host: string;
  port: number;
  hot?: (req: IncomingMessage, res: ServerResponse) => boolean;
  app: (req: IncomingMessage, res: ServerResponse) => void;
  log: Log;
  /** ms that running requests may take to finish when disposing; 10 s. */
  drainMs?: number;
  /** ms, when disposing, before idle connections are cut; 500. */
  drainGraceMs?: number;
  /** ms from connecting to the end of the first request's headers; 15 s. */
  firstHeadersMs?: number;
  /** Connections at once, of all clients; 20,000. */
  connectionsMax?: number;
  /** Bounds the connections of each client; absent: only all together are bounded. */
  perClient?: ClientBound;
}): Promise<HttpServer> {
  const { hot, app, log } = options;
  let draining = false;
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      maxHeaderSize: HEADERS_BYTES_MAX,
      noDelay: true,
      requireHostHeader: false, // refuseHead answers it, with the headers of all our answers
    },
    (req, res) => {
      if (draining) res.setHeader("connection", "close");
      if (draining || !res.shouldKeepAlive) closeInTurn(req);
      if (refuseHead(req, res)) return;
      useOriginForm(req);
      try {
        if (hot?.(req, res)) return;
        app(req, res);
      } catch (error) {
        log.error("http.handler_failed", { error });
        if (res.headersSent) res.destroy();
        else res.writeHead(500, { "content-length": 0, connection: "close" }).end();
      }
    },
  );
  // As sh scripts do with nc -N. Not in the types; without it node:http drops the answers of what it has already handed on.
  Object.assign(server, { httpAllowHalfOpen: true });
  // Nobody needs to be told of an expectation that we do not know (RFC 9110, 10.1.1).
  server.on("checkExpectation", (req, res) => server.emit("request", req, res));
  if (options.perClient) boundClients(server, options.perClient, log);
  guardSockets(server, {
    firstHeadersMs: options.firstHeadersMs ?? FIRST_HEADERS_MS,
    connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
  });
  const port = await listen(server, options);
  return {
    port,
    async [Symbol.asyncDispose]() {
      draining = true;
      await stopServer(server, {
        graceMs: options.drainGraceMs ?? DRAIN_GRACE_MS,
        drainMs: options.drainMs ?? DRAIN_MS,
      });
    },
  };
}
