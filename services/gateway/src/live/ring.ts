/** The last announcements of chat.posted.v1, as bytes, bounded in count and in bytes. */
import { Change, type MessagePosted } from "@headgate/proto/chat/v1/chat";
import type { Position } from "./position.ts";
import { readId, readPosted, type Unread } from "./posted.ts";

/** A record of the topic, as a follower hands it over. */
export type PostedRecord = {
  readonly value: Unread | null;
  readonly partition: number;
  readonly offset: bigint;
};

/** An announcement that is kept; it is decoded when it is wanted. */
export type Kept = {
  /** Id of the message. */
  readonly id: string;
  /** Its place in the ring: greater than that of every earlier one. Not without gaps. */
  readonly sequence: number;
  readonly partition: number;
  readonly offset: number;
  readonly unread: Unread;
  readonly bytes: number;
};

/** Bytes that an entry takes besides its record: objects, the id, two map entries. */
const ENTRY_BYTES = 600;

/** The announcements of a stretch of the topic, oldest first. An announcement that comes again is kept once. */
export type Ring = ReturnType<typeof createRing>;

/** Knows nothing until `begin`. */
export function createRing({ countMax, bytesMax }: { countMax: number; bytesMax: number }) {
  /** In order of their sequence; those before `head` were dropped. */
  let entries: Kept[] = [];
  let head = 0;
  let bytes = 0;
  let sequence = 0;
  /** Sequences of the place of `begin` and of the newest announcement that is missing. */
  let begunAt = 0;
  let droppedTo = 0;
  /** By partition: everything from `from` on and before `end` is kept, or repeats what is kept. */
  let from: number[] = [];
  let end: number[] = [];
  const latest = new Map<string, Kept>();

  return {
    get bytes() {
      return bytes;
    },
    /** What `prepend` may add: what fits, and nothing once something was dropped, which would leave a hole. */
    get room() {
      if (droppedTo > begunAt) return { count: 0, bytes: 0 };
      return { count: countMax - (entries.length - head), bytes: bytesMax - bytes };
    },
    /** The place behind the newest announcement. Empty: not begun. */
    get end(): Position {
      return end;
    },
    get from(): Position {
      return from;
    },
    /** Sequence of the newest announcement, or of the place of `begin`. */
    get newest() {
      return sequence;
    },
    /** Forgets everything; knows what is appended from this place on. */
    begin(position: Position) {
      sequence += 1;
      begunAt = sequence;
      droppedTo = sequence;
      forget();
      from = [...position];
      end = [...position];
    },
    append(record: PostedRecord): Kept | undefined {
      const { partition } = record;
      const offset = Number(record.offset);
      if (offset > (end[partition] ?? 0)) {
        // The topic holds nothing between: retention has deleted what was there before it was read.
        from[partition] = offset;
        sequence += 1;
        droppedTo = sequence;
      }
      end[partition] = offset + 1;
      const kept = toKept(record, sequence + 1);
      if (!kept || !isNews(kept)) return undefined;
      sequence += 1;
      push(kept);
      while (entries.length - head > countMax || (bytes > bytesMax && entries.length - head > 1)) {
        drop();
      }
      return kept;
    },
    /** Takes older announcements: everything from `position` on to what is kept, within `room`. */
    prepend(records: readonly PostedRecord[], position: Position) {
      const first = entries[head]?.sequence ?? sequence + 1;
      const older = records.flatMap((record, at) => {
        return toKept(record, first - records.length + at) ?? [];
      });
      const newer = entries.slice(head);
      forget();
      for (const kept of [...older, ...newer]) if (isNews(kept)) push(kept);
      from = from.map((offset, partition) => Math.min(offset, position[partition] ?? 0));
      begunAt = Math.min(begunAt, first - records.length - 1);
      droppedTo = begunAt;
    },
    /** Whether everything from a position on is kept. */
    covers(position: Position): boolean {
      return (
        end.length > 0 &&
        position.length <= end.length &&
        end.every((offset, partition) => {
          const wanted = position[partition] ?? 0;
          return wanted >= (from[partition] ?? 0) && wanted <= offset;
        })
      );
    },
    /** Sequence before the oldest announcement that is kept. */
    get start() {
      return (entries[head]?.sequence ?? sequence + 1) - 1;
    },
    /** Whether announcements after a sequence were dropped. */
    hasDropped: (after: number) => after < droppedTo,
    /** The first announcement after a sequence; undefined: none yet. */
    after(asked: number): Kept | undefined {
      return entries[indexAfter(asked)];
    },
    /** The newest announcement of a message that is kept. */
    latestOf: (id: string) => latest.get(id),
  };

  function forget(): void {
    entries = [];
    head = 0;
    bytes = 0;
    latest.clear();
  }

  function push(kept: Kept): void {
    entries.push(kept);
    bytes += kept.bytes;
    latest.set(kept.id, kept);
  }

  function drop(): void {
    const dropped = entries[head];
    if (!dropped) return;
    head += 1;
    bytes -= dropped.bytes;
    droppedTo = dropped.sequence;
    from[dropped.partition] = Math.max(from[dropped.partition] ?? 0, dropped.offset + 1);
    if (latest.get(dropped.id) === dropped) latest.delete(dropped.id);
    if (head >= countMax || head * 2 > entries.length + 64) {
      entries = entries.slice(head);
      head = 0;
    }
  }

  function isNews(kept: Kept): boolean {
    const before = latest.get(kept.id);
    return before === undefined || isLater(readPosted(before.unread), readPosted(kept.unread));
  }

  function indexAfter(asked: number): number {
    let low = head;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((entries[middle]?.sequence ?? 0) > asked) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function toKept(record: PostedRecord, sequence: number): Kept | undefined {
  const unread = record.value;
  const id = unread ? readId(unread) : undefined;
  if (!unread || id === undefined) return undefined;
  const { partition } = record;
  const offset = Number(record.offset);
  const bytes = (unread.$unknown?.[0]?.data.length ?? 0) + ENTRY_BYTES;
  return { id, sequence, partition, offset, unread, bytes };
}

/** Whether an announcement says more than the last one of its message. */
function isLater(before: MessagePosted | undefined, next: MessagePosted | undefined): boolean {
  if (!next?.message) return false;
  if (!before?.message) return true;
  if (next.change === Change.CREATED || before.change === Change.DELETED) return false;
  if (next.change === Change.DELETED) return true;
  const [was, is] = [before.message, next.message];
  if (is.count !== was.count) return is.count > was.count;
  const seen = was.editedAt ?? was.lastAt;
  const now = is.editedAt ?? is.lastAt;
  if (!now) return false;
  return (
    !seen || now.seconds > seen.seconds || (now.seconds === seen.seconds && now.nanos > seen.nanos)
  );
}
