/** The target of a request, in the one form that handlers read. */
import type { IncomingMessage } from "node:http";

const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/**
 * Turns a target in absolute form, `http://host/path`, into `/path`, and takes its host for the Host header, as servers must
 * (RFC 9112, 3.2.2). Targets of other forms stay as they are.
 */
export function useOriginForm(req: IncomingMessage): void {
  const url = req.url ?? "";
  if (url.startsWith("/")) return;
  const [prefix, host = ""] = ABSOLUTE.exec(url) ?? [];
  if (prefix === undefined) return;
  const rest = url.slice(prefix.length);
  req.url = rest.startsWith("/") ? rest : `/${rest}`;
  req.headers.host = host;
}
