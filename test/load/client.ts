/**
 * A lean HTTP/1.1 load generator: keep-alive sockets that write ready-made bytes and read just enough of the answer.
 * It shares two cores with what it measures, so it must cost little: a general client would eat half of them.
 * Sends to loopback only; every run is bounded in time.
 */
import { connect, type Socket } from "node:net";

/** One request to send: its bytes, and whatever the caller wants back with the answer. */
export type Shot<Tag> = { readonly bytes: Buffer; readonly tag: Tag };

/**
 * What became of a shot. `answered`: there is a status. `unsent`: no connection could be had, nothing left this
 * process. `lost`: it was (perhaps partly) sent and the connection died before the answer.
 */
export type Result<Tag> = {
  readonly tag: Tag;
  readonly outcome: "answered" | "unsent" | "lost";
  readonly status: number;
  /** Body as text; read only where `readBodies` is set. */
  readonly body: string;
  readonly retryAfter: string | undefined;
  /** When it was due (open loop), when it was sent, and when its fate was known; ms of performance.now(). */
  readonly dueAt: number;
  readonly sentAt: number;
  readonly endedAt: number;
};

/** A load to run. */
export type Load<Tag> = {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Shots per second, evenly spaced, whatever the answers do (open loop). Absent: each connection as fast as it can. */
  readonly rate?: number;
  /** Makes the shot that was due at a moment (ms of performance.now()). */
  readonly next: (dueAt: number) => Shot<Tag>;
  readonly onResult: (result: Result<Tag>) => void;
  readonly readBodies?: boolean;
  /** Ends the load before its time: asked before each shot of a closed loop. */
  readonly isOver?: () => boolean;
  /** How long an answer may take, in ms; then the connection is dropped and the shot counts as lost. */
  readonly answerTimeoutMs?: number;
};

/** Ready-made bytes of a POST. */
export function buildPost(
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = { "content-type": "application/json" },
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join("")}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** Runs the load; resolves when its time is over and every shot's fate is known. */
export async function runLoad<Tag>(load: Load<Tag>): Promise<void> {
  const endAt = performance.now() + load.seconds * 1000;
  const turns =
    load.rate === undefined ? closedLoop(endAt, load.isOver) : openLoop(endAt, load.rate);
  const lanes = Array.from({ length: load.connections }, () => createLane(load));
  await Promise.all(lanes.map((lane) => lane.run(turns.next)));
  turns.stop();
}

/** When a connection may send: the moment its shot was due; undefined: no more, what is due and unsent by then is not sent. */
type Turns = { next(): number | undefined | Promise<number | undefined>; stop(): void };

function closedLoop(endAt: number, isOver: () => boolean = () => false): Turns {
  return {
    next() {
      const now = performance.now();
      return now < endAt && !isOver() ? now : undefined;
    },
    stop() {},
  };
}

function openLoop(endAt: number, rate: number): Turns {
  const gapMs = 1000 / rate;
  const idle: ((dueAt: number | undefined) => void)[] = [];
  let nextDue = performance.now();
  const ticker = setInterval(() => {
    const now = performance.now();
    while (idle.length > 0 && nextDue <= Math.min(now, endAt)) idle.pop()?.(take());
    if (now >= endAt) for (const end of idle.splice(0)) end(undefined);
  }, 1);
  return {
    next() {
      const now = performance.now();
      if (now >= endAt) return undefined;
      if (nextDue <= now) return take(); // it is late: all connections were busy
      return new Promise((resolve) => idle.push(resolve));
    },
    stop: () => clearInterval(ticker),
  };

  function take(): number {
    const due = nextDue;
    nextDue += gapMs;
    return due;
  }
}

const RECONNECT_MS = 20;

type Answer = Omit<Result<unknown>, "tag" | "dueAt" | "sentAt" | "endedAt">;

function createLane<Tag>(load: Load<Tag>) {
  let socket: Socket | undefined;
  return { run };

  async function run(next: Turns["next"]): Promise<void> {
    while (true) {
      const dueAt = await next();
      if (dueAt === undefined) break;
      const { bytes, tag } = load.next(dueAt);
      const sentAt = performance.now();
      const answer = await shoot(bytes);
      load.onResult({ tag, dueAt, sentAt, endedAt: performance.now(), ...answer });
      if (answer.outcome === "unsent")
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
    socket?.destroy();
  }

  async function shoot(bytes: Buffer): Promise<Answer> {
    if (!socket?.writable) socket = await open(load.port); // one that died while it was idle tells nobody any more
    if (!socket) return { outcome: "unsent", status: 0, body: "", retryAfter: undefined };
    const used = socket;
    return await new Promise((resolve) => {
      let received: Buffer | undefined;
      const timer = setTimeout(lose, load.answerTimeoutMs ?? 30_000);
      const settle = (answer: Answer, reusable: boolean) => {
        clearTimeout(timer);
        used.removeAllListeners("data").removeAllListeners("close");
        if (!reusable) {
          used.destroy();
          socket = undefined;
        }
        resolve(answer);
      };
      used.on("data", (chunk: Buffer) => {
        received = received ? Buffer.concat([received, chunk]) : chunk;
        const parsed = parseAnswer(received, load.readBodies === true);
        if (parsed) settle({ outcome: "answered", ...parsed.answer }, !parsed.closes);
      });
      used.on("close", lose);
      used.write(bytes);

      function lose(): void {
        settle({ outcome: "lost", status: 0, body: "", retryAfter: undefined }, false);
      }
    });
  }
}

function open(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", () => resolve(undefined));
  });
}

type Parsed = {
  answer: { status: number; body: string; retryAfter: string | undefined };
  closes: boolean;
};

/** The whole answer in the bytes so far, or undefined when more must come. Answers carry Content-Length. */
function parseAnswer(bytes: Buffer, readBody: boolean): Parsed | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = bytes.toString("latin1", 0, headEnd);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  const bodyAt = headEnd + 4;
  if (bytes.length < bodyAt + length) return undefined;
  const status = Number(head.slice(9, 12));
  return {
    answer: {
      status,
      body: readBody ? bytes.toString("utf8", bodyAt, bodyAt + length) : "",
      retryAfter:
        status === 202 || status === 200 ? undefined : /\r\nretry-after: *(.*)/i.exec(head)?.[1],
    },
    closes: /\r\nconnection: *close/i.test(head),
  };
}
