/** The books of a run with faults: marked events, the outcome of each as its sender saw it, and the retries of keyed ones. */
import { buildPost, type Result, type Shot } from "./client.ts";
import type { Entry } from "./ledger.ts";

/** A channel and the path of a hook that posts to it. */
export type Target = { readonly channelId: string; readonly path: string };

/** The books. */
export type Books = {
  readonly entries: readonly Entry[];
  /** When each accepted event was answered, in ms of performance.now(), rising. */
  readonly acceptedAt: readonly number[];
  /** Keyed events to be sent again, in the order in which they failed. */
  readonly again: Entry[];
  /** The next shot: a keyed event that failed before, else a new event. */
  next(): Shot<Entry>;
  /** The request of an event, the same bytes each time. */
  shotOf(entry: Entry): Shot<Entry>;
  /** Notes the outcome of a shot. */
  note(result: Result<Entry>): void;
};

/** One event in ten carries an Idempotency-Key. */
const KEYED_SHARE = 10;
/** Events of one round of retries, and the rate at which they are sent. */
const RETRIES_PER_ROUND = 500;
const RETRIES_PER_SECOND = 50;

/** Empty books over targets that take turns. */
export function openBooks(targets: readonly Target[]): Books {
  const entries: Entry[] = [];
  const acceptedAt: number[] = [];
  const again: Entry[] = [];
  return { entries, acceptedAt, again, next, shotOf, note };

  function next(): Shot<Entry> {
    const waiting = again.shift();
    if (waiting) return shotOf(waiting);
    const at = entries.length;
    const target = targets[at % targets.length] as Target; // there is at least one
    const entry: Entry = {
      mark: `mark-${at}`,
      channelId: target.channelId,
      fate: "unsent",
      status: 0,
      keyed: at % KEYED_SHARE === 0,
    };
    entries.push(entry);
    return shotOf(entry);
  }

  function shotOf(entry: Entry): Shot<Entry> {
    const path = targets.find(({ channelId }) => channelId === entry.channelId)?.path ?? "";
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (entry.keyed) headers["idempotency-key"] = entry.mark;
    return { tag: entry, bytes: buildPost(path, JSON.stringify({ text: entry.mark }), headers) };
  }

  function note({ tag: entry, outcome, status, body, endedAt }: Result<Entry>): void {
    entry.status = status;
    if (outcome === "answered" && status >= 200 && status < 300) {
      entry.fate = "accepted";
      entry.acceptedAt = endedAt;
      acceptedAt.push(endedAt);
      return;
    }
    if (outcome === "lost" || body.includes("log_unsure")) entry.fate = "unknown";
    else if (entry.fate !== "unknown") entry.fate = outcome === "unsent" ? "unsent" : "refused";
    if (entry.keyed) again.push(entry);
  }
}

/** Sends shots at a rate for some seconds; a shot whose turn does not come in that time is never asked for. */
export type Send = (load: {
  readonly seconds: number;
  readonly rate: number;
  readonly next: () => Shot<Entry | undefined>;
  readonly onResult: (result: Result<Entry | undefined>) => void;
}) => Promise<void>;

/**
 * Sends the keyed events that were not accepted again, round after round, until all are accepted or the time is over. A
 * slow system answers fewer than a round holds: the rest of a round is sent in the next one.
 */
export async function retryKeyed(send: Send, books: Books, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (books.again.length > 0 && performance.now() < deadline) {
    const round = books.again.splice(0, RETRIES_PER_ROUND);
    await send({
      seconds: Math.max(1, round.length / RETRIES_PER_SECOND),
      rate: RETRIES_PER_SECOND,
      next: () => {
        const entry = round.shift();
        return entry ? books.shotOf(entry) : { tag: undefined, bytes: buildPost("/", "{}") };
      },
      onResult: (result) => {
        if (result.tag) books.note({ ...result, tag: result.tag });
      },
    });
    books.again.unshift(...round);
  }
}
