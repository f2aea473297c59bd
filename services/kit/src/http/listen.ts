/** Listening and stopping, the same for every HTTP server of ours. */
import type { Server } from "node:http";
import { Server as NetServer } from "node:net";

/**
 * Connections that wait to be taken on; the system may hold it lower (net.core.somaxconn). Of a full queue the kernel drops
 * the first packet of new ones, and their senders try again only after a second.
 */
const BACKLOG = 4_096;
/** ms between two looks for sockets that became idle while a server drains. */
const SWEEP_MS = 50;

/**
 * Starts listening; port 0 takes any free one.
 * @returns the port
 * @throws the system's error, such as EADDRINUSE
 */
export function listen(server: Server, at: { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: at.host, port: at.port, backlog: BACKLOG }, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(address !== null && typeof address === "object" ? address.port : at.port);
    });
  });
}

/**
 * Stops a server: no new connections, idle ones closed after `graceMs` (until then a request that is already on its way is
 * still answered), running requests finished, and whatever is left after `drainMs` cut off. A second call waits for nothing.
 */
export async function stopServer(
  server: Server,
  { graceMs, drainMs }: { graceMs: number; drainMs: number },
): Promise<void> {
  if (!server.listening) return;
  const startedAt = Date.now();
  const closed = new Promise<void>((resolve) => {
    // net.Server's own close: http's closes idle sockets at once, before their clients could be told.
    NetServer.prototype.close.call(server, () => resolve());
  });
  const sweep = setInterval(() => {
    if (Date.now() - startedAt >= graceMs) server.closeIdleConnections();
    if (Date.now() - startedAt >= drainMs) server.closeAllConnections();
  }, SWEEP_MS);
  try {
    await closed;
  } finally {
    clearInterval(sweep);
    server.close(() => {}); // ends http's own timers; it says that the server is closed, which is so
  }
}
