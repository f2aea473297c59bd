/**
 * chat.posted.v1 as the live stream and `?wait=readable` see it: the last announcements in memory, and, for a reader who
 * comes back after more than that, the topic itself, read again.
 */
import { AppError } from "@headgate/kit/errors";
import type { Follower } from "@headgate/kit/kafka";
import type { Change, Message } from "@headgate/proto/chat/v1/chat";
import { type Cursor, formatCursor, type Position } from "./position.ts";
import { readPosted } from "./posted.ts";
import { createRing, type Kept, type PostedRecord } from "./ring.ts";
import { createTail, type Hold } from "./tail.ts";
import { createWaits } from "./waits.ts";

/** A message that became readable, or changed. */
export type Announcement = { readonly message: Message; readonly change: Change };

/** One reader's way through the announcements. */
export type FeedReader = {
  /** The next announcement; `missed`: some were dropped before this reader came to them, it goes on with what comes from now on. */
  next(): Announcement | "missed" | undefined;
  /** Names the place behind the last `next`, for Last-Event-ID. */
  cursor(): string;
};

/** What the stream reads. */
export type LiveFeed = {
  /**
   * A reader of what comes after a cursor, from memory or from the topic; undefined: some of it cannot be had any more.
   * To be called while the feed is held and live.
   * @throws AppError unavailable `log_unavailable`
   */
  resume(cursor: Cursor): Promise<FeedReader | undefined>;
  /** A reader of what comes from now on. */
  read(): FeedReader;
  /** Calls back when there is something new; returns the way to stop. The listener must not throw. */
  subscribe(listener: () => void): () => void;
  /** Keeps the topic read. Nothing is missed from when `live` has resolved until the release. */
  hold(): Hold;
};

/** The feed with the waits. Disposing ends the reading. */
export type Feed = LiveFeed &
  AsyncDisposable & {
    /** The topic is read, or nothing needs it. */
    readonly ready: boolean;
    /** The messages of these ids, in their order, once all are readable; undefined when the deadline passes first. */
    awaitReadable(
      ids: readonly string[],
      deadlineMs: number,
    ): Promise<readonly Message[] | undefined>;
  };

/** Reads the topic from now on, or given partitions from given offsets. */
export type FollowPosted = (
  from: "now" | ReadonlyMap<number, number>,
  take: (records: readonly PostedRecord[]) => void,
) => Promise<Follower>;

/** ms that a cursor of another gateway may be ahead of this one's reading. */
const AHEAD_MS = 2_000;
/** ms for reading a stretch of the topic again. */
const REREAD_MS = 5_000;

/** Nothing is read yet. `countMax` and `bytesMax` bound what is kept in memory. */
export function createFeed({
  follow,
  getMessages,
  countMax,
  bytesMax,
  idleMs,
  now = () => new Date(),
}: {
  follow: FollowPosted;
  getMessages: (ids: readonly string[]) => Promise<readonly Message[]>;
  countMax: number;
  bytesMax: number;
  idleMs?: number;
  now?: () => Date;
}): Feed {
  const ring = createRing({ countMax, bytesMax });
  const tail = createTail({
    follow: (take: (records: readonly PostedRecord[]) => void) => follow("now", take),
    onBegan: (edges) => ring.begin(toPosition(edges)),
    onRecords: apply,
    onStopped: () => ring.begin([]),
    ...(idleMs !== undefined && { idleMs }),
  });
  const waits = createWaits({
    find: (id) => {
      const kept = ring.latestOf(id);
      return kept && open(kept)?.message;
    },
    getMessages,
    hold: tail.hold,
  });
  const listeners = new Set<() => void>();
  /** The last that was decoded: all readers come to the same one at about the same time. */
  let opened: { readonly kept: Kept; readonly announcement: Announcement | undefined } | undefined;
  /** The running or last re-reading; there is one at a time. */
  let rereading: Promise<unknown> = Promise.resolve();

  return {
    awaitReadable: waits.awaitReadable,
    hold: tail.hold,
    get ready() {
      return tail.ready;
    },
    read: () => readerFrom(ring.newest, ring.end),
    resume,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    [Symbol.asyncDispose]: () => tail[Symbol.asyncDispose](),
  };

  function apply(records: readonly PostedRecord[]): void {
    let isNew = false;
    for (const record of records) {
      const kept = ring.append(record);
      if (!kept) continue;
      isNew = true;
      const message = waits.has(kept.id) ? open(kept)?.message : undefined;
      if (message) waits.give(message);
    }
    if (isNew) for (const listener of listeners) listener();
  }

  function open(kept: Kept): Announcement | undefined {
    if (opened?.kept === kept) return opened.announcement;
    const posted = readPosted(kept.unread);
    const announcement = posted?.message && { message: posted.message, change: posted.change };
    opened = { kept, announcement };
    return announcement;
  }

  async function resume({ position }: Cursor): Promise<FeedReader | undefined> {
    if (!(await reaches(position))) return undefined;
    if (!ring.covers(position)) {
      const mine = rereading.then(() => reread(position));
      rereading = mine.catch(() => {});
      await mine;
    }
    return ring.covers(position) ? readerFrom(ring.start, position) : undefined;
  }

  /** A gateway that read faster may have written the cursor. What stays ahead is of another topic than this one is now. */
  async function reaches(position: Position): Promise<boolean> {
    const isReached = () =>
      position.length <= ring.end.length &&
      position.every((offset, partition) => offset <= (ring.end[partition] ?? 0));
    if (isReached() || position.length > ring.end.length) return isReached();
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => isReached() && resolve();
    const timer = setTimeout(resolve, AHEAD_MS);
    listeners.add(check);
    await promise;
    clearTimeout(timer);
    listeners.delete(check);
    return isReached();
  }

  /** Reads again what lies between a position and the ring, where the ring has room for it. */
  async function reread(position: Position): Promise<void> {
    if (ring.covers(position)) return;
    const to = ring.from;
    const from = new Map<number, number>();
    let count = 0;
    for (const [partition, end] of to.entries()) {
      const first = position[partition] ?? 0;
      if (first < end) from.set(partition, first);
      count += Math.max(0, end - first);
    }
    if (count > ring.room.count) return;
    const records = await readStretch(from, to);
    const bytes = records?.reduce((sum, record) => sum + sizeOf(record), 0) ?? 0;
    const isAdjacent = to.every((offset, partition) => offset === ring.from[partition]);
    const { room } = ring;
    if (records && isAdjacent && records.length <= room.count && bytes <= room.bytes) {
      ring.prepend(records, position);
    }
  }

  /** The records of each partition from `from` on and before `to`; undefined: retention has deleted some, or they have no room. */
  async function readStretch(
    from: ReadonlyMap<number, number>,
    to: Position,
  ): Promise<PostedRecord[] | undefined> {
    const taken: PostedRecord[] = [];
    const next = new Map(from);
    const done = Promise.withResolvers<boolean>();
    let bytes = 0;
    const follower = await follow(from, (records) => {
      for (const record of records) {
        const { partition } = record;
        const offset = Number(record.offset);
        if (offset >= (to[partition] ?? 0)) continue;
        if (offset !== next.get(partition)) return done.resolve(false);
        next.set(partition, offset + 1);
        bytes += sizeOf(record);
        if (bytes > ring.room.bytes) return done.resolve(false);
        taken.push(record);
      }
      if ([...next].every(([partition, at]) => at >= (to[partition] ?? 0))) done.resolve(true);
    });
    void follower.caughtUp.then(() => done.resolve(false)); // what is there was read, and it was not all
    const timer = setTimeout(() => done.reject(unavailable()), REREAD_MS);
    try {
      return (await done.promise) ? taken : undefined;
    } finally {
      clearTimeout(timer);
      await follower[Symbol.asyncDispose]();
    }
  }

  /** `sequence`: behind it the reader goes on; of what is kept now, it has seen what lies before `position`. */
  function readerFrom(sequence: number, position: Position): FeedReader {
    let at = sequence;
    let seen = ring.end.map((_, partition) => position[partition] ?? 0);
    const knownTo = ring.newest;
    return {
      next() {
        if (ring.hasDropped(at)) {
          at = ring.newest;
          seen = [...ring.end];
          return "missed";
        }
        for (let kept = ring.after(at); kept; kept = ring.after(at)) {
          at = kept.sequence;
          const { partition, offset } = kept;
          if (at <= knownTo && offset < (seen[partition] ?? 0)) continue;
          seen[partition] = offset + 1;
          const announcement = open(kept);
          if (announcement) return announcement;
        }
        seen = [...ring.end]; // behind the newest lie only repetitions
        return undefined;
      },
      cursor: () => formatCursor({ position: seen, at: now() }),
    };
  }
}

function toPosition(edges: ReadonlyMap<number, { readonly latest: number }>): Position {
  return Array.from({ length: edges.size }, (_, partition) => edges.get(partition)?.latest ?? 0);
}

function sizeOf({ value }: PostedRecord): number {
  return value?.$unknown?.[0]?.data.length ?? 0;
}

function unavailable(): AppError {
  const message = "Kafka did not answer in time.";
  return new AppError("unavailable", "log_unavailable", message, { retryAfterMs: 5_000 });
}
