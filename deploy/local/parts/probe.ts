/** Asks a server one thing over a bare socket: is it really serving, not just listening. */
import { connect } from "node:net";

const ANSWER_BYTES_MAX = 64 * 1024;

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
