/** What attacks are made of: loads without end, bodies that are held back, streams, changes. Loopback only, all bounded. */
import { randomUUID } from "node:crypto";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { runLoad } from "../client.ts";

/** What an attack is aimed at, and what the attacker has. */
export type Target = {
  readonly port: number;
  /** Path of a native hook that is the attacker's own. */
  readonly hookPath: string;
  /** Bearer token of an ordinary person. */
  readonly token: string;
};

/** Counts by name: what the attacker sent, and which answers came. */
export type AttackFigures = Record<string, number>;

/** Longest time of one attack, whatever its caller does. */
const SECONDS_MAX = 90;
/** ms after which an answer is no longer waited for. */
const ANSWER_TIMEOUT_MS = 10_000;
const JSON_TYPE = { "content-type": "application/json" };

/** Connections that send as fast as they are answered, until the signal or `requestsMax`. */
export async function closedLoop(
  { port }: Target,
  signal: AbortSignal,
  connections: number,
  shots: readonly Buffer[] | (() => Buffer),
  requestsMax = Number.POSITIVE_INFINITY,
): Promise<AttackFigures> {
  const figures: AttackFigures = {};
  let at = 0;
  const next = typeof shots === "function" ? shots : () => shots[at % shots.length] as Buffer;
  await runLoad<undefined>({
    port,
    connections,
    seconds: SECONDS_MAX,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
    isOver: () => signal.aborted || at >= requestsMax,
    next: () => {
      const bytes = next();
      at++;
      return { bytes, tag: undefined };
    },
    onResult({ outcome, status }) {
      const name = outcome === "answered" ? String(status) : outcome;
      figures[name] = (figures[name] ?? 0) + 1;
    },
  });
  return figures;
}

/** Connections that send a part of their body and wait; one that is closed or answered comes again. */
export async function holdBodies(
  target: Target,
  signal: AbortSignal,
  options: {
    readonly connections: number;
    readonly declared: (at: number) => number;
    readonly sent: number;
    readonly path: () => string;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<AttackFigures> {
  const figures: AttackFigures = {};
  const part = Buffer.alloc(options.sent, "{");
  await Promise.all(Array.from({ length: options.connections }, (_, at) => hold(at)));
  return figures;

  async function hold(at: number): Promise<void> {
    while (!signal.aborted) {
      const socket = connect({ host: "127.0.0.1", port: target.port });
      let head = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        if (head === "") head = chunk.toString("latin1", 0, 12);
        socket.destroy();
      });
      const headers = Object.entries({ ...JSON_TYPE, ...options.headers });
      socket.write(
        `POST ${options.path()} HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}content-length: ${options.declared(at)}\r\n\r\n`,
      );
      socket.write(part);
      await Promise.race([once(socket, "close"), aborted(signal)]);
      socket.destroy();
      const name = head === "" ? "no_answer" : head.slice(9, 12);
      figures[name] = (figures[name] ?? 0) + 1;
      await sleep(50);
    }
  }
}

/** Live streams that are read; each is opened again when it ends, a second later. */
export async function openStreams(
  target: Target,
  signal: AbortSignal,
  count: number,
): Promise<AttackFigures> {
  const figures = { streams_opened: 0, streams_refused: 0 };
  const lanes = Array.from({ length: count }, async () => {
    while (!signal.aborted) {
      try {
        const response = await fetch(`http://127.0.0.1:${target.port}/api/headgate/v1/stream`, {
          headers: { authorization: `Bearer ${target.token}` },
          signal,
        });
        if (response.ok) figures.streams_opened++;
        else figures.streams_refused++;
        for await (const chunk of response.body ?? []) if (chunk.length === 0) break;
      } catch {
        // aborted, or cut
      }
      if (!signal.aborted) await sleep(1_000);
    }
  });
  await Promise.all(lanes);
  return figures;
}

/** A new channel every second, made by the person whose streams are open. */
export async function changeMe(target: Target, signal: AbortSignal): Promise<AttackFigures> {
  const figures = { channels_made: 0 };
  const url = `http://127.0.0.1:${target.port}/api/headgate/v1`;
  const headers = { ...JSON_TYPE, authorization: `Bearer ${target.token}` };
  const me = (await (await fetch(`${url}/teams`, { headers })).json()) as {
    data: { id: string }[];
  };
  while (!signal.aborted) {
    await sleep(1_000);
    const name = `hostile-${randomUUID()}`;
    const body = JSON.stringify({ team_id: me.data[0]?.id, name, display_name: name });
    const made = await fetch(`${url}/channels`, { method: "POST", headers, body }).catch(() => {});
    if (made?.ok) figures.channels_made++;
    await made?.arrayBuffer().catch(() => {});
  }
  return figures;
}

/** Resolves with the next event of a socket. */
export function once(socket: Socket, event: "close" | "drain"): Promise<void> {
  return new Promise((resolve) => socket.once(event, () => resolve()));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
