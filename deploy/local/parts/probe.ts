/** Asks a server one thing over a bare socket: is it really serving, not just listening. */
import { connect } from "node:net";

const ANSWER_BYTES_MAX = 64 * 1024;
/** ms that a connection on the loopback may take. */
const CONNECT_TIMEOUT_MS = 1_000;

/**
 * Sends bytes and collects the answer until `isWhole` says it is whole.
 * @returns undefined when nobody listens, the other side hangs up, or the time is up
 */
export function ask(options: {
  readonly port: number;
  readonly question: Uint8Array;
  readonly isWhole: (answer: Buffer) => boolean;
  readonly timeoutMs?: number;
}): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let answer: Buffer = Buffer.alloc(0);
    const socket = connect({ host: "127.0.0.1", port: options.port });
    const finish = (value: Buffer | undefined) => {
      socket.destroy();
      resolve(value);
    };
    socket.setTimeout(options.timeoutMs ?? 1_000, () => finish(undefined));
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("connect", () => socket.write(options.question));
    socket.on("data", (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      if (options.isWhole(answer)) finish(answer);
      else if (answer.length > ANSWER_BYTES_MAX) finish(undefined);
    });
  });
}

/**
 * Whether a server accepts connections on a port of 127.0.0.1. It connects and never binds: a probe that binds the port
 * to see whether it is taken can take it from the server that starts at that moment.
 */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const finish = (listening: boolean) => {
      socket.destroy();
      resolve(listening);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => finish(false));
    socket.on("error", () => finish(false));
    socket.on("connect", () => finish(true));
  });
}
