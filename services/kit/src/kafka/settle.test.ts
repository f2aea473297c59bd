import { describe, expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { createLog } from "../log.ts";
import type { FetchedRecord } from "./batch.ts";
import { dead, done, drop, type Outcome, retry } from "./outcome.ts";
import { type Entry, settle } from "./settle.ts";

const log = createLog({ service: "test", write: () => {} });
const unavailable = () => new AppError("unavailable", "database_unavailable", "away");

function buildEntry(name: string, key = name): Entry<string> {
  const record: FetchedRecord = {
    offset: 0,
    timestamp: 0,
    key: Buffer.from(key),
    value: Buffer.from(name),
    headers: Buffer.from([0]),
  };
  return { record, value: name };
}

type Answer = (names: string[], call: number) => Outcome[] | Promise<Outcome[]>;

/** Settles entries with a handler; `pauses` end at once. */
async function run(
  entries: Entry<string>[],
  answer: Answer,
  { bury = async () => {}, stopAfterPauses = Number.POSITIVE_INFINITY } = {} as {
    bury?: () => Promise<void>;
    stopAfterPauses?: number;
  },
) {
  const ended = new AbortController();
  const calls: string[][] = [];
  const buried: string[] = [];
  const outcomes: string[] = [];
  const pauses: number[] = [];
  const settled = await settle(entries, {
    async run(some) {
      const names = some.map(({ value }) => value ?? "");
      calls.push(names);
      return answer(names, calls.length);
    },
    async bury(record, reason) {
      await bury();
      buried.push(`${record.value} ${reason}`);
    },
    async pause(ms) {
      pauses.push(ms);
      if (pauses.length >= stopAfterPauses) ended.abort();
    },
    signal: ended.signal,
    onOutcome: (kind, reason) => outcomes.push(reason ? `${kind} ${reason}` : kind),
    log,
  });
  return { settled, calls, buried, outcomes, pauses };
}

const allDone = (names: string[]) => names.map(() => done);

describe("a chunk", () => {
  test("is handed over whole and settled by one answer each", async () => {
    const { settled, calls, outcomes } = await run([buildEntry("a"), buildEntry("b")], () => [
      done,
      drop("folded"),
    ]);
    expect(settled).toBe(2);
    expect(calls).toEqual([["a", "b"]]);
    expect(outcomes).toEqual(["done", "drop folded"]);
  });

  test("waits as long as the world is away and buries nothing", async () => {
    const result = await run([buildEntry("a"), buildEntry("b")], (names, call) => {
      if (call <= 30) throw unavailable();
      return allDone(names);
    });
    expect(result.settled).toBe(2);
    expect(result.calls).toHaveLength(32); // the last two one by one
    expect(result.buried).toEqual([]);
    expect(Math.max(...result.pauses)).toBeLessThanOrEqual(5_000);
  });

  test("that is too slow as a whole is worked in parts, in its order, which grow again", async () => {
    const names = Array.from({ length: 40 }, (_, at) => `${at}`);
    const worked: string[] = [];
    const { settled, calls, buried } = await run(
      names.map((name) => buildEntry(name, "key")),
      (some) => {
        if (some.length > 12) throw new AppError("unavailable", "database_unavailable", "too slow");
        worked.push(...some);
        return allDone(some);
      },
    );
    expect(settled).toBe(40);
    expect(worked).toEqual(names);
    expect(buried).toEqual([]);
    expect(calls.map(({ length }) => length)).toEqual([40, 40, 20, 10, 20, 10, 10, 10]);
  });

  test("with a poison record is worked one by one: it is buried, its neighbours are done", async () => {
    const { settled, calls, buried, outcomes } = await run(
      ["a", "poison", "b"].map((name) => buildEntry(name)),
      (names) => {
        if (names.includes("poison")) throw new AppError("invalid_argument", "bad_row", "no");
        return allDone(names);
      },
    );
    expect(settled).toBe(3);
    expect(calls).toEqual([["a", "poison", "b"], ["a"], ["poison"], ["b"]]);
    expect(buried).toEqual(["poison bad_row"]);
    expect(outcomes).toEqual(["done", "dead bad_row", "done"]);
  });

  test("waits for the world also while it is worked one by one", async () => {
    let away = true;
    const { settled, buried } = await run(
      ["a", "poison"].map((name) => buildEntry(name)),
      (names) => {
        if (names.includes("poison")) throw new TypeError("not foreseen");
        if (!away) return allDone(names);
        away = false;
        throw unavailable();
      },
    );
    expect(settled).toBe(2);
    expect(buried).toEqual(["poison internal"]);
  });

  test("is not lost when the handler answers for fewer records than it got", async () => {
    const { settled, buried } = await run([buildEntry("a")], () => []);
    expect(settled).toBe(1);
    expect(buried).toEqual(["a outcomes_missing"]);
  });
});

describe("an answer of retry", () => {
  test("brings back only that record and what follows under its key", async () => {
    const entries = [buildEntry("a1", "a"), buildEntry("b1", "b"), buildEntry("a2", "a")];
    const { settled, calls } = await run(entries, (names, call) =>
      names.map((name) => (name === "a1" && call === 1 ? retry("locked") : done)),
    );
    expect(settled).toBe(3);
    expect(calls).toEqual([
      ["a1", "b1", "a2"],
      ["a1", "a2"],
    ]);
  });

  test("counts as settled only what stands before it when the partition is given up", async () => {
    const entries = ["a", "b", "c"].map((name) => buildEntry(name));
    const { settled } = await run(
      entries,
      (names) => names.map((name) => (name === "b" ? retry("locked") : done)),
      { stopAfterPauses: 2 },
    );
    expect(settled).toBe(1);
  });
});

describe("the dead letter", () => {
  test("takes what cannot be decoded, and the rest is worked", async () => {
    const broken = { ...buildEntry("broken"), value: undefined };
    const { settled, calls, buried } = await run([buildEntry("a"), broken], allDone);
    expect(settled).toBe(2);
    expect(calls).toEqual([["a"]]);
    expect(buried).toEqual(["broken undecodable"]);
  });

  test("does not take tombstones: they are dropped", async () => {
    const entry = buildEntry("gone");
    const tombstone = { record: { ...entry.record, value: null }, value: undefined };
    const { settled, buried, outcomes } = await run([tombstone], allDone);
    expect(settled).toBe(1);
    expect(buried).toEqual([]);
    expect(outcomes).toEqual(["drop tombstone"]);
  });

  test("is tried until it takes the record", async () => {
    let failures = 3;
    const { settled, buried } = await run([buildEntry("a")], () => [dead("too_old")], {
      bury: async () => {
        if (failures-- > 0) throw unavailable();
      },
    });
    expect(settled).toBe(1);
    expect(buried).toEqual(["a too_old"]);
  });

  test("that stays away keeps the record unsettled when the partition is given up", async () => {
    const { settled } = await run([buildEntry("a"), buildEntry("b")], () => [done, dead("bad")], {
      bury: async () => {
        throw unavailable();
      },
      stopAfterPauses: 3,
    });
    expect(settled).toBe(1);
  });
});
