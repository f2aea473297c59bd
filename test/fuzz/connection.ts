/**
 * A bare connection to the front door: writes any bytes, right or wrong, and reads HTTP/1.1 answers one by one. A general
 * client would mend or refuse what is to be sent here. Loopback only; no wait is without a deadline.
 */
import { connect, type Socket } from "node:net";

/** One answer; names of headers in lower case, the body as UTF-8. */
export type Answer = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

/** A connection. Disposing closes it. */
export type Connection = Disposable & {
  /** False once either side ended it. */
  readonly isOpen: boolean;
  write(bytes: Buffer): void;
  /** Ends our half; answers may still come. */
  finish(): void;
  /** Tears the connection down without a goodbye. */
  reset(): void;
  /**
   * The next answer (1xx are passed over); undefined when the other side closed without one.
   * @throws Error `silent` when neither happened in `timeoutMs`
   */
  read(options: { isHead: boolean; timeoutMs: number }): Promise<Answer | undefined>;
};

const HEAD_END = Buffer.from("\r\n\r\n");

/** Opens a connection to 127.0.0.1. @throws the system's error when nobody listens */
export async function openConnection(port: number): Promise<Connection> {
  const socket = await dial(port);
  let received: Buffer = Buffer.alloc(0);
  let isOpen = true;
  let wake: () => void = () => {};
  socket.on("data", (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    wake();
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("end", end);
  socket.on("close", end);

  function end(): void {
    isOpen = false;
    wake();
  }

  async function read({ isHead, timeoutMs }: { isHead: boolean; timeoutMs: number }) {
    const deadline = performance.now() + timeoutMs;
    while (true) {
      const found = takeAnswer(received, isHead);
      if (found) {
        received = found.rest;
        if (found.answer.headers.get("connection")?.toLowerCase() === "close") isOpen = false;
        if (found.answer.status >= 200) return found.answer;
        continue;
      }
      if (!isOpen) return undefined;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`silent for ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  return {
    get isOpen() {
      return isOpen && !socket.destroyed;
    },
    write: (bytes) => void socket.write(bytes),
    finish: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    read,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** The first answer in the bytes, and what follows it; undefined while it is not all there. */
export function takeAnswer(
  bytes: Buffer,
  isHead: boolean,
): { answer: Answer; rest: Buffer } | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const [first = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(`${first} `)?.[1]);
  if (!Number.isInteger(status)) throw new Error(`no HTTP answer: ${first.slice(0, 80)}`);
  const headers = new Map(lines.map(readHeader));
  const hasBody = !isHead && status >= 200 && status !== 204 && status !== 304;
  const start = headEnd + HEAD_END.length;
  const end = start + (hasBody ? Number(headers.get("content-length") ?? 0) : 0);
  if (bytes.length < end) return undefined;
  return {
    answer: { status, headers, body: bytes.toString("utf8", start, end) },
    rest: bytes.subarray(end),
  };
}

function readHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}
