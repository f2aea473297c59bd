/**
 * What the tail of chat.posted.v1 brings: tells waiters when their messages can be read, and keeps the last ones for
 * the live stream. The same announcement may come again (its consumer repeats after a crash); it is shown once.
 */
import { AppError } from "@headgate/kit/errors";
import { Change, type Message } from "@headgate/proto/chat/v1/chat";
import { readId, readPosted, type Unread } from "./posted.ts";
import type { Hold } from "./tail.ts";

/** One announcement in the order this process saw it. */
export type Announcement = {
  /** Names its place for Last-Event-ID; means nothing to another process, which then says `gap`. */
  readonly cursor: string;
  readonly sequence: number;
  readonly message: Message;
  readonly change: Change;
};

/** What the stream reads. */
export type LiveFeed = {
  /** Names the place after the newest announcement. */
  cursor(): string;
  /** The announcements after a cursor that are still kept; `isGap`: some in between are not known here (any more). */
  since(cursor: string): {
    readonly announcements: readonly Announcement[];
    readonly isGap: boolean;
  };
  /** Calls back with each new announcement, at once; returns the way to stop. The listener must not throw. */
  subscribe(listener: (announcement: Announcement) => void): () => void;
  /** Keeps the tail read. What the rest of this says holds once `live` has resolved, and until the release. */
  hold(): Hold;
};

/** The announcements. */
export type Readable = LiveFeed & {
  /** Takes records in the order of their partition. Never throws. */
  apply(records: readonly { readonly value: Unread | null }[]): void;
  /** Between what was applied and what will be, some may be missing: cursors of before are gaps from now on. */
  skip(): void;
  /** The messages of these ids, in their order, once all are readable; undefined when the deadline passes first. */
  awaitReadable(
    ids: readonly string[],
    deadlineMs: number,
  ): Promise<readonly Message[] | undefined>;
};

/** Announcements kept. */
const KEPT_MAX = 10_000;
/** Callers that may wait at once; more are told at once that the wait is over. */
const WAITING_MAX = 10_000;
/** Shares of a wait after which chat itself is asked, in case the tail is behind or away. */
const ASK_AT = [0.4, 0.85];

/** What is kept of an announcement; it is decoded when somebody wants it. */
type Kept = { readonly id: string; readonly sequence: number; readonly unread: Unread };

type Waiter = {
  readonly missing: Set<string>;
  readonly found: Map<string, Message>;
  readonly finish: () => void;
};

/** No announcements yet. `hold` is the tail's; `epoch` tells this process's cursors from those of others. */
export function createReadable({
  getMessages,
  hold,
  epoch,
  keptMax = KEPT_MAX,
}: {
  getMessages: (ids: readonly string[]) => Promise<readonly Message[]>;
  hold: () => Hold;
  epoch: string;
  keptMax?: number;
}): Readable {
  let ring: Kept[] = [];
  const latest = new Map<string, Kept>();
  const waiters = new Map<string, Set<Waiter>>();
  const listeners = new Set<(announcement: Announcement) => void>();
  let sequence = 0;
  /** Of the last skip: it has a number of its own, which no announcement has. */
  let skippedAt = 0;
  let waiting = 0;

  return {
    apply(records) {
      for (const { value } of records) if (value) see(value);
    },
    skip() {
      sequence += 1;
      skippedAt = sequence;
      ring = [];
      latest.clear();
    },
    hold,
    cursor: () => `${epoch}-${sequence}`,
    since(cursor) {
      const [, from, at] = /^([^-]+)-(\d{1,15})$/.exec(cursor) ?? [];
      const after = Number(at);
      const first = Math.max(sequence - keptMax, skippedAt) + 1;
      if (from !== epoch || after > sequence) {
        return { announcements: [], isGap: true };
      }
      const announcements: Announcement[] = [];
      for (let next = Math.max(after + 1, first); next <= sequence; next++) {
        const kept = ring[next % keptMax];
        const announcement = kept && open(kept);
        if (announcement) announcements.push(announcement);
      }
      return { announcements, isGap: after + 1 < first };
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    awaitReadable,
  };

  function see(unread: Unread): void {
    const id = readId(unread);
    if (id === undefined) return;
    const before = latest.get(id);
    if (before && !isNews(open(before), open({ id, sequence, unread }))) return;
    sequence += 1;
    const kept = { id, sequence, unread };
    const dropped = ring[sequence % keptMax];
    if (dropped && latest.get(dropped.id) === dropped) latest.delete(dropped.id);
    ring[sequence % keptMax] = kept;
    latest.set(id, kept);
    const concerned = waiters.get(id);
    if (concerned === undefined && listeners.size === 0) return;
    const announcement = open(kept);
    if (announcement === undefined) return;
    if (concerned) for (const waiter of concerned) give(waiter, announcement.message);
    for (const listener of listeners) listener(announcement);
  }

  function open({ sequence, unread }: Kept): Announcement | undefined {
    const posted = readPosted(unread);
    if (!posted?.message) return undefined;
    const { message, change } = posted;
    return { cursor: `${epoch}-${sequence}`, sequence, message, change };
  }

  async function awaitReadable(
    ids: readonly string[],
    deadlineMs: number,
  ): Promise<readonly Message[] | undefined> {
    const found = new Map<string, Message>();
    const missing = new Set<string>();
    for (const id of ids) {
      const kept = latest.get(id);
      const seen = kept && open(kept);
      if (seen) found.set(id, seen.message);
      else missing.add(id);
    }
    if (missing.size > 0) {
      if (waiting >= WAITING_MAX) return undefined;
      await wait(missing, found, deadlineMs);
    }
    if (missing.size > 0) return undefined;
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  async function wait(
    missing: Set<string>,
    found: Map<string, Message>,
    deadlineMs: number,
  ): Promise<void> {
    waiting += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { missing, found, finish: resolve };
    const asked = [...missing];
    for (const id of asked) {
      const set = waiters.get(id);
      if (set) set.add(waiter);
      else waiters.set(id, new Set([waiter]));
    }
    const { live, release } = hold();
    // What was announced before the tail was live is not in it.
    void live?.then(() => ask(waiter));
    const timers = ASK_AT.map((share) => setTimeout(() => void ask(waiter), deadlineMs * share));
    timers.push(setTimeout(resolve, deadlineMs));
    await promise;
    release();
    waiting -= 1;
    for (const timer of timers) clearTimeout(timer);
    for (const id of asked) {
      const set = waiters.get(id);
      set?.delete(waiter);
      if (set?.size === 0) waiters.delete(id);
    }
  }

  async function ask(waiter: Waiter): Promise<void> {
    if (waiter.missing.size === 0) return;
    try {
      for (const message of await getMessages([...waiter.missing])) give(waiter, message);
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown; // chat is away: the wait runs out, which is an answer too
    }
  }
}

function give(waiter: Waiter, message: Message): void {
  if (!waiter.missing.delete(message.id)) return;
  waiter.found.set(message.id, message);
  if (waiter.missing.size === 0) waiter.finish();
}

/** Whether an announcement tells more than the last one of its message that was seen. */
function isNews(before: Announcement | undefined, next: Announcement | undefined): boolean {
  if (next === undefined) return false;
  if (before === undefined) return true;
  if (next.change === Change.CREATED || before.change === Change.DELETED) return false;
  if (next.change === Change.DELETED) return true;
  if (next.message.count !== before.message.count) return next.message.count > before.message.count;
  const seen = before.message.editedAt ?? before.message.lastAt;
  const now = next.message.editedAt ?? next.message.lastAt;
  if (!now) return false;
  return (
    !seen || now.seconds > seen.seconds || (now.seconds === seen.seconds && now.nanos > seen.nanos)
  );
}
