/** From an AppError to HTTP, and small replies. Bodies of errors are the dialect's own; the status comes from the table. */
import type { ServerResponse } from "node:http";
import type { AppError } from "../errors.ts";

/** The headers an error asks for: `retry-after` in whole seconds, at least 1, where waiting helps. */
export function errorHeaders(error: AppError): Record<string, string> {
  if (error.retryAfterMs === undefined) return {};
  return { "retry-after": String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))) };
}

/** Sends a JSON reply in one write; does nothing when the response began already or the caller left. */
export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers?: Readonly<Record<string, string>>,
): void {
  if (res.headersSent || res.destroyed) return;
  const text = JSON.stringify(body);
  res.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  res.end(text);
}
