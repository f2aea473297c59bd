/** What a connection may not do: send nonsense, or take for ever to say what it wants. */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";

/** ms between two looks for connections that are late. */
const SWEEP_MS = 1000;
/** ms between two lines about connections that were closed for their client's bound. */
const LOG_MS = 60_000;
/** Headers of one request. */
const HEADERS_COUNT_MAX = 100;
/** ms in which a refused sender may read why; what it still sends is thrown away, for a closed door would eat the answer. */
const LINGER_MS = 500;

/** Status and words for what the HTTP parser or the clock refused. */
const REFUSALS: Record<string, [status: number, text: string]> = {
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout"],
};

/** How many connections one client may have open at once. */
export type ClientBound = {
  readonly connectionsMax: number;
  /** What the connections of one client are counted under, given the peer's address; undefined: they are not counted. */
  readonly keyOf: (address: string) => string | undefined;
};

/** A socket with the response that node:http is writing to it now. */
type Talking = Duplex & { readonly _httpMessage?: ServerResponse | null };

/** Closes connections beyond the bound of their client as they come, as `maxConnections` does for all together. */
export function boundClients(
  server: Server,
  { connectionsMax, keyOf }: ClientBound,
  log: Log,
): void {
  const open = new Map<string, number>();
  let closed = 0;
  let loggedMs = Number.NEGATIVE_INFINITY;
  server.on("connection", (socket) => {
    const key = keyOf(socket.remoteAddress ?? "");
    if (key === undefined) return;
    const count = open.get(key) ?? 0;
    if (count >= connectionsMax) {
      socket.destroy();
      closed += 1;
      if (performance.now() - loggedMs < LOG_MS) return;
      loggedMs = performance.now();
      log.warn("http.connections_closed", { client: key, closed, connections_max: connectionsMax });
      closed = 0;
      return;
    }
    open.set(key, count + 1);
    socket.once("close", () => {
      const left = (open.get(key) ?? 1) - 1;
      if (left === 0) open.delete(key);
      else open.set(key, left);
    });
  });
}

/**
 * Answers malformed requests, and those on new connections whose headers take longer than `firstHeadersMs` (408). Later
 * requests of a connection have the server's `headersTimeout`. Requests before the malformed one are answered first.
 */
export function guardSockets(
  server: Server,
  options: { firstHeadersMs: number; connectionsMax: number },
): void {
  const unproven = new Map<Duplex, number>(); // in order of connecting
  const refused = new WeakSet<Duplex>(); // the parser complains again with every further byte
  server.maxConnections = options.connectionsMax;
  server.maxHeadersCount = HEADERS_COUNT_MAX + 1; // the rest is dropped, and one too many tells it
  server.on("connection", (socket) => {
    unproven.set(socket, Date.now());
    socket.once("close", () => unproven.delete(socket));
  });
  server.prependListener("request", (req) => {
    if (unproven.size > 0) unproven.delete(req.socket);
  });
  const sweep = setInterval(
    () => {
      const openedBefore = Date.now() - options.firstHeadersMs;
      for (const [socket, openedAt] of unproven) {
        if (openedAt > openedBefore) break;
        unproven.delete(socket);
        refuse(socket, 408, "Request Timeout", 0); // what it still sends could yet become a request
      }
    },
    Math.min(SWEEP_MS, options.firstHeadersMs),
  );
  sweep.unref();
  server.once("close", () => clearInterval(sweep));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET") socket.destroy();
    if (socket.destroyed || refused.has(socket)) return;
    refused.add(socket);
    const [status, text] = REFUSALS[error.code ?? ""] ?? [400, "Bad Request"];
    refuseInTurn(socket, status, text);
  });
}

/**
 * Answers what the parser lets through and HTTP does not: no version, no Host or several, a transfer coding that we
 * cannot undo, more headers than are kept.
 * @returns whether it was answered
 */
export function refuseHead(req: IncomingMessage, res: ServerResponse): boolean {
  const [status, text] = judgeHead(req);
  if (status === 200) return false;
  for (const [name, value] of headersOf(text)) res.setHeader(name, value);
  res.writeHead(status, text).end(text);
  return true;
}

function judgeHead({ rawHeaders, headers, httpVersion }: IncomingMessage): [number, string] {
  if (rawHeaders.length > HEADERS_COUNT_MAX * 2) return [431, "Request Header Fields Too Large"];
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "chunked") return [400, "Bad Request"];
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  const isGood = httpVersion === "1.1" ? hosts === 1 : httpVersion === "1.0" && hosts < 2;
  return isGood ? [200, "OK"] : [400, "Bad Request"];
}

/** Refuses once the whole requests that came before on the same connection are answered: answers have no other name. */
function refuseInTurn(socket: Talking, status: number, text: string): void {
  const running = socket._httpMessage;
  if (running?.req.complete) running.once("close", () => refuseInTurn(socket, status, text));
  else if (running?.headersSent) socket.destroy();
  else refuse(socket, status, text, LINGER_MS);
}

function refuse(socket: Duplex, status: number, text: string, lingerMs: number): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const lines = headersOf(text).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${text}\r\n${lines.join("")}\r\n${text}`, () => {
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("close", () => clearTimeout(timer));
    socket.once("end", () => socket.destroy());
  });
}

function headersOf(text: string): [string, string][] {
  return [
    ["connection", "close"],
    ["content-type", "text/plain"],
    ["content-length", String(text.length)],
    ["x-request-id", randomBytes(16).toString("hex")],
  ];
}
