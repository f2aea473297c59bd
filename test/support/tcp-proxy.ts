/** A TCP proxy that can be cut and frozen, to play a server that died or hangs without touching the shared one. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { findPort } from "./ports.ts";

/** The proxy. Listens on one port of 127.0.0.1 for its whole life, cut or not. */
export type TcpProxy = AsyncDisposable & {
  readonly port: number;
  /** The given URL with host and port of the proxy. */
  readonly url: string;
  /** Closes all connections and refuses new ones, as when the server's process is killed. */
  cut(): Promise<void>;
  /** Takes connections and bytes but passes nothing on, as when the server's process is stopped by SIGSTOP. */
  freeze(): void;
  /** Passes everything on again, what was held back too. */
  restore(): Promise<void>;
};

/** Opens a proxy to the server of a URL (`redis://host:port`, `postgres://…`). */
export async function openTcpProxy(url: string): Promise<TcpProxy> {
  const target = new URL(url);
  const host = target.hostname.replace(/^\[|\]$/g, "");
  const sockets = new Set<Socket>();
  let frozen = false;
  const port = await findPort();
  let server: Server | undefined = listen();
  await listening(server, port);
  const shown = new URL(url);
  shown.host = `127.0.0.1:${port}`;
  return {
    port,
    url: shown.href,
    cut,
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    async restore() {
      frozen = false;
      for (const socket of sockets) socket.resume();
      if (server) return;
      server = listen();
      await listening(server, port);
    },
    [Symbol.asyncDispose]: cut,
  };

  function listen(): Server {
    return createServer((near) => {
      const far = connect(Number(target.port), host);
      join(near, far);
      join(far, near);
    });
  }

  function join(from: Socket, to: Socket): void {
    sockets.add(from);
    from.setNoDelay();
    from.on("data", (bytes) => to.write(bytes));
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
    if (frozen) from.pause();
  }

  async function cut(): Promise<void> {
    const closing = server;
    server = undefined;
    for (const socket of sockets) socket.resetAndDestroy();
    if (closing) await new Promise((resolve) => closing.close(resolve));
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}
