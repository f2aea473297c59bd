/** Writes a reply with exact headers. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { HookReply } from "./dialect.ts";

/**
 * Writes a reply and ends the response. A body that was left unread is read to its end by node:http and thrown away
 * (within the server's time for a request), so that the sender sees the answer and the connection can be used again.
 */
export function writeReply(
  req: IncomingMessage,
  res: ServerResponse,
  reply: HookReply,
  requestId: string,
): void {
  if (res.destroyed || res.headersSent) return;
  const body =
    typeof reply.body === "string" || reply.body instanceof Uint8Array
      ? reply.body
      : JSON.stringify(reply.body);
  // A dialect may write the id in a form of its own.
  const headers = reply.headers?.["X-Request-Id"] === undefined ? ["X-Request-Id", requestId] : [];
  for (const name in reply.headers) headers.push(name, reply.headers[name] ?? "");
  if (reply.status !== 204 && reply.status !== 304) {
    const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.byteLength;
    headers.push("Content-Length", String(bytes));
  }
  res.writeHead(reply.status, headers);
  res.end(req.method === "HEAD" ? undefined : body);
}
