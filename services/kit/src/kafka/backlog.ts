/**
 * The records of one partition that wait for their handler, fair by key: a backlog of one key delays the other keys of its
 * partition by no more than a chunk.
 *
 * Two cursors read the partition. The main cursor goes forward. While it is behind, each key passes it with at most one
 * chunk of records; from the next one on (offset X) the key is *deferred*: the main cursor skips its records and so comes to
 * the records of other keys as fast as it can read. The catch-up cursor reads again from the lowest X on, and only the
 * records of deferred keys from their X on. A chunk takes from both, half of it from each while both have records. When
 * the catch-up cursor reaches the main cursor, no key is deferred any more.
 *
 * - Records of one key are handled in their order: the catch-up cursor hands out nothing that lies behind a record which
 *   the main cursor still holds.
 * - The position that may be committed is that of the cursor that is further back. After a crash the records between the
 *   two come again, also those that were handled: harmless, as any repetition is (see `Handler`).
 * - Each cursor holds at most what `hasRoom` allows and one fetch; all else is read again when there is room.
 */
import { copyOf, type FetchedRecord, type Keep } from "./batch.ts";

/** What one fetch brought of the partition. */
export type Arrival = {
  readonly records: readonly FetchedRecord[];
  /** Where reading goes on; past `records` when compaction left a gap or records were skipped. */
  readonly next: number;
  /** Records that `keeps` left out. */
  readonly skipped: number;
  /** The end of the partition. */
  readonly highWatermark: number;
};

/** The waiting records of one partition. */
export type Backlog = {
  /** Takes what the main cursor read. */
  push(arrival: Arrival): void;
  /** Takes what the catch-up cursor read, from `catchUpFrom` on. */
  pushDeferred(arrival: Arrival): void;
  /** Whether the main cursor may read on. */
  readonly hasRoom: boolean;
  /** Where the catch-up cursor is to read on; undefined when it has nothing to read now. */
  readonly catchUpFrom: number | undefined;
  /** Which records the main cursor is to bring; undefined: all. To be asked right before `push`. */
  keeps(): Keep | undefined;
  /** Which records the catch-up cursor is to bring. */
  readonly keepsDeferred: Keep;
  /** The next chunk, at most `chunkMax` records; none when none may be handled now. It runs until `complete`. */
  take(): readonly FetchedRecord[];
  /** Whether `take` would bring records now. */
  readonly isReady: boolean;
  /** Ends the running chunk, of which the first `count` records are done; the others will be taken again. */
  complete(count: number): void;
  /** Every record before it is done. Not to be asked while a chunk runs. */
  readonly position: number;
  /** Starts anew at another offset; a running chunk counts no more. */
  restart(position: number): void;
  /** Records of the partition that are not done. */
  readonly lag: number;
  /** When the oldest record known here that is not done was written, in ms since 1970; undefined: there is none. */
  readonly oldestMs: number | undefined;
};

/** What may wait of each cursor: enough that no fetch is missed while a chunk is handled. */
const WAITING_RECORDS_MAX = 2_000;
const WAITING_BYTES_MAX = 2 * 1024 * 1024;
/** Keys deferred at once; those beyond stay in the order of the partition. */
const DEFERRED_KEYS_MAX = 1_000;
/** Keys counted at once, and bytes of a key that is counted; those beyond stay in the order of the partition. */
const COUNTED_KEYS_MAX = 10_000;
const KEY_BYTES_MAX = 256;

/** Records that a cursor read and that wait, in offset order; it has read all before `readTo`. */
type Queue = { readonly records: FetchedRecord[]; bytes: number; readTo: number };

const NONE = { main: [], deferred: [] } as const;

/** Nothing read yet. `chunkMax` bounds a chunk, and what passes of one key while the main cursor is behind. */
export function createBacklog(position: number, chunkMax: number): Backlog {
  let main = createQueue(position);
  let late: Queue | undefined;
  /** Deferred key → offset of its first record that is left to the catch-up cursor. */
  const deferred = new Map<string, number>();
  /** Key → records that passed the main cursor since it fell behind; undefined while it is not. */
  let counts: Map<string, number> | undefined;
  /** Records skipped by the main cursor that are not done. */
  let owed = 0;
  /** When the last record of a deferred key that was handed out was written. */
  let owedMs: number | undefined;
  let end = position;
  let running: { main: readonly FetchedRecord[]; deferred: readonly FetchedRecord[] } = NONE;
  /** Whose turn it is when a chunk holds one record. */
  let isLateTurn = false;

  return {
    push,
    pushDeferred({ records, next }) {
      if (!late) return;
      for (const record of records) {
        if (record.offset >= main.readTo) break; // keys may still be deferred before it
        add(late, record);
      }
      late.readTo = Math.min(next, main.readTo);
    },
    get hasRoom() {
      return hasRoom(main);
    },
    get catchUpFrom() {
      return late && late.readTo < main.readTo && hasRoom(late) ? late.readTo : undefined;
    },
    keeps: () => (deferred.size === 0 || appends() ? undefined : isNotDeferred),
    keepsDeferred(key, offset) {
      const name = nameOf(key);
      const from = name === undefined ? undefined : deferred.get(name);
      return from !== undefined && offset >= from;
    },
    take,
    get isReady() {
      const [first] = late?.records ?? [];
      return main.records.length > 0 || (first !== undefined && first.offset < main.readTo);
    },
    complete,
    get position() {
      const at = firstOf(main);
      return late ? Math.min(at, firstOf(late)) : at;
    },
    restart(to) {
      main = createQueue(to);
      forgetDeferred();
      counts = undefined;
      running = NONE;
      end = to;
    },
    get lag() {
      return (
        Math.max(0, end - main.readTo) +
        main.records.length +
        running.main.length +
        Math.max(0, owed)
      );
    },
    get oldestMs() {
      const firsts = [running.main, running.deferred, main.records, late?.records ?? []];
      const times = firsts.flatMap(([first]) => first?.timestamp ?? []);
      const isUnread = owed > running.deferred.length && late?.records.length === 0;
      if (isUnread && owedMs !== undefined) times.push(owedMs);
      return times.length === 0 ? undefined : Math.min(...times);
    },
  };

  function push({ records, next, skipped, highWatermark }: Arrival): void {
    owed += skipped;
    end = highWatermark;
    const isBehind = next < end || main.records.length + records.length > chunkMax;
    counts = isBehind ? (counts ?? new Map()) : undefined;
    let isWhole = late === undefined || appends();
    for (const record of records) {
      if (!isToDefer(record)) {
        add(main, record);
        continue;
      }
      owed++;
      late ??= createQueue(record.offset);
      if (isWhole && !hasRoom(late)) {
        isWhole = false;
        late.readTo = record.offset;
      }
      if (isWhole) add(late, copyOf(record));
    }
    if (late && isWhole) late.readTo = next;
    main.readTo = next;
  }

  /** Whether the catch-up cursor has read as far as the main cursor and can take what that one skips. */
  function appends(): boolean {
    return late !== undefined && late.readTo === main.readTo && hasRoom(late);
  }

  function isNotDeferred(key: Buffer | null): boolean {
    const name = nameOf(key);
    return name === undefined || !deferred.has(name);
  }

  function isToDefer({ key, offset }: FetchedRecord): boolean {
    if (counts === undefined && deferred.size === 0) return false;
    const name = nameOf(key);
    if (name === undefined) return false;
    if (deferred.has(name)) return true;
    if (counts === undefined) return false;
    const passed = counts.get(name) ?? 0;
    if (passed >= chunkMax && deferred.size < DEFERRED_KEYS_MAX) {
      deferred.set(name, offset);
      counts.delete(name);
      return true;
    }
    if (passed > 0 || counts.size < COUNTED_KEYS_MAX) counts.set(name, passed + 1);
    return false;
  }

  function take(): readonly FetchedRecord[] {
    isLateTurn = !isLateTurn;
    const lateShare = chunkMax === 1 ? Number(isLateTurn) : chunkMax >> 1;
    const mainShare = chunkMax - Math.min(lateShare, late?.records.length ?? 0);
    const limit = main.records[mainShare]?.offset ?? main.readTo;
    let lateCount = 0;
    while (late && lateCount < chunkMax - Math.min(mainShare, main.records.length)) {
      const record = late.records[lateCount];
      if (record === undefined || record.offset >= limit) break;
      lateCount++;
    }
    const mine = remove(main, chunkMax - lateCount);
    running = { main: mine, deferred: late ? remove(late, lateCount) : [] };
    owedMs = running.deferred.at(-1)?.timestamp ?? owedMs;
    return lateCount === 0 ? mine : [...mine, ...running.deferred];
  }

  function complete(count: number): void {
    const doneLate = Math.max(0, count - running.main.length);
    putBack(main, running.main.slice(count));
    if (late) putBack(late, running.deferred.slice(doneLate));
    owed -= Math.min(doneLate, running.deferred.length);
    running = NONE;
    if (late && late.records.length === 0 && late.readTo === main.readTo) forgetDeferred();
  }

  function forgetDeferred(): void {
    late = undefined;
    deferred.clear();
    owed = 0;
    owedMs = undefined;
  }
}

function createQueue(readTo: number): Queue {
  return { records: [], bytes: 0, readTo };
}

function add(queue: Queue, record: FetchedRecord): void {
  queue.records.push(record);
  queue.bytes += sizeOf(record);
}

function remove(queue: Queue, count: number): FetchedRecord[] {
  const records = queue.records.splice(0, count);
  for (const record of records) queue.bytes -= sizeOf(record);
  return records;
}

function putBack(queue: Queue, records: readonly FetchedRecord[]): void {
  queue.records.unshift(...records);
  for (const record of records) queue.bytes += sizeOf(record);
}

function hasRoom({ records, bytes }: Queue): boolean {
  return records.length < WAITING_RECORDS_MAX && bytes < WAITING_BYTES_MAX;
}

function firstOf({ records, readTo }: Queue): number {
  return records[0]?.offset ?? readTo;
}

/** The key as a name to look up; undefined when it is too long to be remembered. */
function nameOf(key: Buffer | null): string | undefined {
  if (key === null) return "";
  return key.length > KEY_BYTES_MAX ? undefined : key.toString("latin1");
}

function sizeOf(record: FetchedRecord): number {
  return (record.value?.length ?? 0) + record.headers.length + (record.key?.length ?? 0);
}
