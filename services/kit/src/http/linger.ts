/** Closing behind the last answer of a connection, so that a sender who is still sending can read it. */
import type { IncomingMessage } from "node:http";

/** ms that a sender gets to send the rest of a request that is answered already; it is thrown away. */
const REST_MS_MAX = 5_000;

/**
 * Closes the connection of a request once it is answered and has come in to its end. node:http does so behind the answer,
 * whatever is still to come: the kernel then resets the connection, and the sender loses the answer.
 */
export function closeInTurn(req: IncomingMessage): void {
  const { socket } = req;
  // What node:http calls behind the last answer; ours once, then the socket's own again.
  socket.destroySoon = () => {
    Reflect.deleteProperty(socket, "destroySoon");
    if (req.complete || req.destroyed) return socket.destroySoon();
    socket.end();
    const timer = setTimeout(() => socket.destroy(), REST_MS_MAX);
    req.once("end", () => socket.destroySoon());
    socket.once("close", () => clearTimeout(timer));
  };
}
