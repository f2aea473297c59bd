import { describe, expect, test } from "vitest";
import { type Backlog, createBacklog } from "./backlog.ts";
import type { FetchedRecord } from "./batch.ts";

const CHUNK = 10;

/** A partition: the key of each record, by offset. Each fetch brings up to `fetchMax` records. */
function createPartition(keys: string[], { fetchMax = 25, start = 0 } = {}) {
  const log = [...keys];
  const backlog = createBacklog(start, CHUNK);
  const handled: FetchedRecord[][] = [];
  let readTo = start;

  return { log, backlog, handled, read, catchUp, work, run };

  function fetch(from: number, keep = (_: Buffer | null, __: number) => true) {
    const seen = log.slice(from, from + fetchMax).map((key, at) => buildRecord(from + at, key));
    const records = seen.filter(({ key, offset }) => keep(key, offset));
    const skipped = seen.length - records.length;
    return { records, next: from + seen.length, skipped, highWatermark: log.length };
  }

  /** One fetch of the main cursor. */
  function read(): void {
    if (!backlog.hasRoom) return;
    const arrival = fetch(readTo, backlog.keeps());
    readTo = arrival.next;
    backlog.push(arrival);
  }

  /** One fetch of the catch-up cursor. */
  function catchUp(): void {
    const from = backlog.catchUpFrom;
    if (from !== undefined) backlog.pushDeferred(fetch(from, backlog.keepsDeferred));
  }

  /** Handles one chunk; false when there was none. */
  function work(): boolean {
    const records = backlog.take();
    if (records.length > 0) handled.push([...records]);
    backlog.complete(records.length);
    return records.length > 0;
  }

  function run(): void {
    for (let left = 100_000; left > 0; left--) {
      read();
      catchUp();
      if (!work() && backlog.position === log.length) return;
    }
    throw new Error("the partition is not done");
  }
}

function buildRecord(offset: number, key: string): FetchedRecord {
  const bytes = Buffer.from(key);
  return { offset, timestamp: 1_000 + offset, key: bytes, value: bytes, headers: Buffer.alloc(1) };
}

const repeat = (key: string, count: number) => Array.from({ length: count }, () => key);
const flatten = (chunks: FetchedRecord[][]) => chunks.flat().map(({ offset }) => offset);
const keyOf = ({ key }: FetchedRecord) => key?.toString() ?? "";
/** The chunk in which a key was handled first, from 0. */
const chunkOf = (chunks: FetchedRecord[][], key: string) =>
  chunks.findIndex((chunk) => chunk.some((record) => keyOf(record) === key));

function expectOrderPerKey(chunks: FetchedRecord[][]): void {
  for (const [, list] of Map.groupBy(chunks.flat(), keyOf)) {
    const offsets = list.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
  }
}

/** The same numbers for the same seed, between 0 and 1. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

describe("a partition without a backlog", () => {
  test("hands out records in the order of the partition, in chunks", () => {
    const { handled, run, backlog } = createPartition([..."abcabcabcabcabc"]);
    run();
    expect(flatten(handled)).toEqual(Array.from({ length: 15 }, (_, at) => at));
    expect(handled.map(({ length }) => length)).toEqual([10, 5]);
    expect(backlog.lag).toBe(0);
    expect(backlog.oldestMs).toBeUndefined();
  });

  test("reads nothing twice, also when one key brings a little more than a chunk at once", () => {
    const { handled, read, work, backlog } = createPartition([...repeat("a", 14), "b"]);
    read();
    while (work()) expect(backlog.catchUpFrom).toBeUndefined();
    expect(flatten(handled)).toHaveLength(15);
    expect(backlog.position).toBe(15);
    expectOrderPerKey(handled);
  });
});

describe("a backlog of one key", () => {
  test("delays the other keys by a chunk or two, however long it is", () => {
    const others = Array.from({ length: 24 }, (_, at) => `other-${at}`);
    const { handled, read, catchUp, work, run, log } = createPartition(
      [...repeat("busy", 60_000), ...others],
      { fetchMax: 2_300 },
    );
    for (let fetches = 0; fetches < 30; fetches++) read(); // reading is much faster than handling
    for (let chunks = 0; chunks < 1 + 24 / (CHUNK / 2); chunks++) work();
    for (const other of others) expect(chunkOf(handled, other)).toBeGreaterThanOrEqual(0);
    catchUp();
    run();
    expect(new Set(flatten(handled)).size).toBe(log.length);
    expect(flatten(handled)).toHaveLength(log.length);
    expectOrderPerKey(handled);
  });

  test("holds a bounded number of records in memory, and the lag counts all that is not done", () => {
    const { read, work, backlog, run } = createPartition([...repeat("busy", 50_000), "other"], {
      fetchMax: 2_300,
    });
    for (let fetches = 0; fetches < 30; fetches++) read();
    expect(backlog.lag).toBe(50_001);
    work();
    work();
    expect(backlog.lag).toBe(50_001 - 2 * CHUNK);
    expect(backlog.oldestMs).toBe(1_000 + CHUNK * 2 - 1); // the other record is done
    run();
    expect(backlog.lag).toBe(0);
  });

  test("that is all there is is handled in full chunks", () => {
    const { handled, run } = createPartition(repeat("busy", 5_000), { fetchMax: 500 });
    run();
    expect(handled.filter(({ length }) => length < CHUNK).length).toBeLessThan(5);
    expect(flatten(handled)).toEqual(Array.from({ length: 5_000 }, (_, at) => at));
  });

  test("keeps the position before its first record that is not done", () => {
    const { read, work, backlog, handled } = createPartition([...repeat("busy", 500), "other"], {
      fetchMax: 600,
    });
    read();
    work();
    expect(backlog.position).toBe(CHUNK);
    work();
    expect(chunkOf(handled, "other")).toBe(1);
    expect(backlog.position).toBe(2 * CHUNK - 1); // nine of the busy key went with the other
  });
});

test("backlogs of many keys delay a key without one by at most a chunk each", () => {
  const busy = Array.from({ length: 5_000 }, (_, at) => `busy-${at % 8}`);
  const { handled, read, work, run } = createPartition([...busy, "other"], { fetchMax: 6_000 });
  read();
  while (chunkOf(handled, "other") < 0) work();
  expect(chunkOf(handled, "other")).toBeLessThanOrEqual(2 * 8);
  run();
  expectOrderPerKey(handled);
});

test("whatever order fetches and chunks come in, each record is handled once and in the order of its key", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = createRandom(seed);
    const pick = (count: number) => Math.floor(random() * count);
    const keys = () => `key-${Math.floor(random() ** 3 * 6)}`;
    const partition = createPartition([], { fetchMax: 5 + pick(60) });
    for (let step = 0; step < 400; step++) {
      if (random() < 0.2) partition.log.push(...Array.from({ length: pick(80) }, keys));
      const turn = pick(4);
      if (turn === 0) partition.read();
      else if (turn === 1) partition.catchUp();
      else if (turn === 2) partition.work();
      else workInPart(partition.backlog, partition.handled, pick);
    }
    partition.run();
    const offsets = flatten(partition.handled);
    expect(offsets).toHaveLength(partition.log.length);
    expect(new Set(offsets).size).toBe(partition.log.length);
    expectOrderPerKey(partition.handled);
    expect(partition.backlog.lag).toBe(0);
  }
});

/** A chunk of which only the first records are done. */
function workInPart(
  backlog: Backlog,
  handled: FetchedRecord[][],
  pick: (count: number) => number,
): void {
  const records = backlog.take();
  const done = records.slice(0, pick(records.length + 1));
  if (done.length > 0) handled.push([...done]);
  backlog.complete(done.length);
}

test("whatever was done, a new start at the position misses nothing and breaks no order", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = createRandom(seed * 7);
    const keys = Array.from({ length: 1_500 }, () => `key-${Math.floor(random() ** 4 * 9)}`);
    const first = createPartition(keys, { fetchMax: 90 });
    for (let step = 0; step < 150; step++) {
      const turn = random();
      if (turn < 0.5) first.read();
      else if (turn < 0.75) first.catchUp();
      else first.work();
    }
    const second = createPartition(keys, { fetchMax: 90, start: first.backlog.position });
    second.run();
    expect(new Set([...flatten(first.handled), ...flatten(second.handled)]).size).toBe(1_500);
    expectOrderPerKey(first.handled);
    expectOrderPerKey(second.handled);
    // What comes again begins no later than where its key broke off.
    const last = new Map(first.handled.flat().map((record) => [keyOf(record), record.offset]));
    for (const [key, list] of Map.groupBy(second.handled.flat(), keyOf)) {
      const next = keys.indexOf(key, (last.get(key) ?? -1) + 1);
      expect(list[0]?.offset).toBeLessThanOrEqual(next < 0 ? keys.length : next);
    }
  }
});

test("a restart at another offset forgets what was read and the running chunk", () => {
  const { backlog, read } = createPartition([...repeat("busy", 100), "other"], { fetchMax: 60 });
  read();
  read();
  backlog.take();
  backlog.restart(30);
  backlog.complete(CHUNK);
  expect(backlog.position).toBe(30);
  expect(backlog.catchUpFrom).toBeUndefined();
  expect(backlog.take()).toEqual([]);
});
