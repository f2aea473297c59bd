/** The quiet senders of the hostile bench: a few events a second by each dialect, and a person who asks who they are. */
import { buildPost, runLoad, type Shot } from "../client.ts";
import { createDurations } from "../stats.ts";

/** What the quiet senders need. */
export type QuietTarget = {
  readonly port: number;
  readonly paths: Readonly<Record<"headgate" | "mattermost" | "monotree", string>>;
  /** Bearer token of a person who attacks nothing. */
  readonly token: string;
};

/** What became of the events of the quiet hooks; times in ms. */
export type QuietFigures = {
  readonly sent: number;
  /** Answers other than 2xx, by status; `lost`: no answer. */
  readonly refused: Readonly<Record<string, number>>;
  readonly p50: number;
  readonly p99: number;
  /** From the request to the answer of `?wait=readable`, where it says that the message is readable. */
  readonly readableP50: number;
  readonly readableP99: number;
  /** Of GET /me. */
  readonly apiP50: number;
  readonly apiP99: number;
};

/** Requests a second. Monotree allows 60 a minute. */
const RATES = { headgate: 40, mattermost: 20, monotree: 0.8, readable: 10, api: 10 } as const;
const CONNECTIONS = 16;
const TEXT = `{"text":"quiet ${"x".repeat(320)}"}`;

/** Sends for some seconds and resolves with the figures. */
export async function measureQuiet(target: QuietTarget, seconds: number): Promise<QuietFigures> {
  const durations = createDurations();
  const readable = createDurations();
  const api = createDurations();
  const refused: Record<string, number> = {};
  let sent = 0;
  const { headgate, mattermost, monotree } = target.paths;
  const ask = Buffer.from(
    `GET /api/headgate/v1/me HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${target.token}\r\n\r\n`,
  );
  await Promise.all([
    offer(RATES.headgate, buildPost(headgate, TEXT), durations),
    offer(RATES.mattermost, buildPost(mattermost, TEXT), durations),
    offer(RATES.monotree, buildPost(monotree, TEXT), durations),
    offer(RATES.readable, buildPost(`${headgate}?wait=readable`, TEXT), readable, 201),
    offer(RATES.api, ask, api),
  ]);
  return {
    sent,
    refused,
    p50: durations.percentile(0.5),
    p99: durations.percentile(0.99),
    readableP50: readable.percentile(0.5),
    readableP99: readable.percentile(0.99),
    apiP50: api.percentile(0.5),
    apiP99: api.percentile(0.99),
  };

  async function offer(
    rate: number,
    bytes: Buffer,
    into: ReturnType<typeof createDurations>,
    only?: number,
  ): Promise<void> {
    const shot: Shot<undefined> = { bytes, tag: undefined };
    await runLoad<undefined>({
      port: target.port,
      connections: CONNECTIONS,
      seconds,
      rate,
      next: () => shot,
      onResult({ outcome, status, dueAt, endedAt }) {
        sent++;
        const isGood = outcome === "answered" && status >= 200 && status < 300;
        if (isGood && (only === undefined || status === only)) into.add(endedAt - dueAt);
        if (isGood) return;
        const name = outcome === "answered" ? String(status) : outcome;
        refused[name] = (refused[name] ?? 0) + 1;
      },
    });
  }
}
