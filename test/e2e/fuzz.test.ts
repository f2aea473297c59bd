/**
 * Hostile requests to the three hooks of a running system: each is answered, in time and truthfully; what was accepted is
 * stored once, what was refused is not. FUZZ_SEED repeats a run; FUZZ_COUNT makes it longer.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { Answer } from "../fuzz/connection.ts";
import { findFaults } from "../fuzz/judge.ts";
import { findMarks, MARK, markOf, putMark } from "../fuzz/marks.ts";
import { playRaw } from "../fuzz/raw.ts";
import { RAW_CASES, type RawCase } from "../fuzz/raw-cases.ts";
import { type FuzzRequest, requestsTo } from "../fuzz/requests.ts";
import { type DialectName, type Message, openRooms, readMessages } from "../fuzz/rooms.ts";
import { type Outcome, runStorm } from "../fuzz/storm.ts";
import { eventually } from "../support/eventually.ts";
import { type System, useRunningSystem } from "../support/system.ts";
import { countLapses } from "../support/undisturbed.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 20_261_121);
const COUNT = Number(process.env.FUZZ_COUNT ?? 21_000);
const CONNECTIONS = 8;
/** ms in which a request is answered, though the machine be slow, and one that waits until the message can be read, 5 s. */
const ANSWER_MS = 60_000;
const READABLE_ANSWER_MS = 20_000;
/** Code points of every post of a split text but the last. Mattermost, posts: 16,383. */
const PIECE = 16_383;
const DIALECTS = ["headgate", "mattermost", "monotree"] as const;
const SHOWN = 10;

let running: Awaited<ReturnType<typeof useRunningSystem>>;
let system: System;
beforeAll(async () => {
  running = await useRunningSystem();
  system = running.demo;
});

test("any request is answered, truthfully and in time; what is accepted is stored once, what is refused never", async () => {
  const rooms = await openRooms(system);
  const expected = {
    headgate: new Map<string, Text>(),
    mattermost: new Map<string, Text>(),
    monotree: new Map<string, Text>(),
  };
  const faults = new Map<string, string>();
  const tally: Record<string, number> = {};
  const lapses = await countLapses(running);
  const spentKeys = new Set<string>();
  let forgottenKeys = 0;
  let sent = 0;

  function onOutcome({ tag, request, mark, answer, tookMs }: Outcome<DialectName>): void {
    sent += 1;
    const key = `${tag} ${answer?.status ?? "closed"}`;
    tally[key] = (tally[key] ?? 0) + 1;
    const told = answer
      ? findFaults(answer, request.method === "HEAD")
      : ["closed without an answer"];
    if (request.path.includes("wait=readable") && tookMs > READABLE_ANSWER_MS)
      told.push("waits too long");
    for (const fault of told) {
      faults.set(
        `${tag}: ${fault}`,
        `${mark} ${request.method} ${JSON.stringify(request.headers)} ${request.body.toString("utf8", 0, 300)} => ${answer?.body.slice(0, 300)}`,
      );
    }
    if (answer) {
      // Without the memory of keys, another body under a used key is an event of its own; every body here differs.
      if (isForgotten(tag, answer, mark, request)) forgottenKeys += 1;
      for (const [name, text] of acceptedOf(tag, answer, mark, request)) {
        expected[tag].set(name, text);
      }
    }
  }

  /** Whether a request was accepted although its key had been used before, and not as a replay. */
  function isForgotten(
    tag: DialectName,
    { status, headers }: Answer,
    mark: string,
    request: FuzzRequest,
  ): boolean {
    const key = request.headers["idempotency-key"]?.replace(MARK, mark).replaceAll('"', "") ?? "";
    if (key === "" || status >= 300 || headers.has("idempotency-replayed")) return false;
    const isSpent = spentKeys.has(`${tag} ${key}`);
    spentKeys.add(`${tag} ${key}`);
    return isSpent;
  }

  console.log(`fuzz: seed ${SEED}, ${COUNT} requests`);
  const startedAt = performance.now();
  await runStorm({
    port: Number(new URL(system.url).port),
    seed: SEED,
    count: COUNT,
    connections: CONNECTIONS,
    answerMs: ANSWER_MS,
    sources: DIALECTS.map((tag) => ({ tag, requests: requestsTo(tag, rooms[tag].hookPath) })),
    onOutcome,
  });
  console.log(`fuzz: ${sent} sent in ${Math.round(performance.now() - startedAt)} ms`, tally);
  expect(Object.fromEntries([...faults].slice(0, SHOWN))).toEqual({});
  if (forgottenKeys > 0) expect(await countLapses(running)).toBeGreaterThan(lapses);

  for (const dialect of DIALECTS) {
    await eventually(
      async () => {
        const stored = await readMessages(system, rooms[dialect]);
        expect(findDifferences(storedOf(dialect, stored), expected[dialect])).toEqual(
          NO_DIFFERENCES,
        );
      },
      { timeoutMs: 120_000 },
    );
  }
  expectHealth();
}, 900_000);

test("what is no good HTTP is refused, in turn and in time, and nothing of it is stored", async () => {
  const rooms = await openRooms(system);
  const port = Number(new URL(system.url).port);
  const faults: Record<string, readonly string[]> = {};
  for (const dialect of DIALECTS) {
    const path = rooms[dialect].hookPath;
    const play = async (raw: RawCase, at: number) => {
      const found = await playRaw(raw, { port, path, mark: markOf(at), answerMs: ANSWER_MS });
      if (found.length > 0) faults[`${dialect}: ${raw.name}`] = found;
    };
    await inLanes(RAW_CASES.entries(), ([at, raw]) => play(raw, at));
    await eventually(async () => {
      const stored = (await readMessages(system, rooms[dialect])).flatMap((message) => [
        ...findMarks(JSON.stringify(message)),
      ]);
      const wrong = RAW_CASES.flatMap((raw, at) => {
        const count = stored.filter((mark) => mark === markOf(at)).length;
        return count === raw.stored ? [] : `${raw.name}: stored ${count} times`;
      });
      expect(wrong).toEqual([]);
    });
  }
  expect(faults).toEqual({});
  expectHealth();
}, 600_000);

/** Does the work of all items, a few at once. */
async function inLanes<T>(items: IterableIterator<T>, work: (item: T) => Promise<void>) {
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (const item of items) await work(item);
    }),
  );
}

/** A text that must be found; undefined where it is not known what becomes of it. */
type Text = string | null | undefined;

/** Names of what an answer says was accepted, with its text: ids or numbers, or, where the answer has none, the mark. */
function acceptedOf(
  dialect: DialectName,
  { status, headers, body }: Answer,
  mark: string,
  request: FuzzRequest,
): [name: string, text: Text][] {
  if (status >= 300) return [];
  if (dialect === "mattermost") {
    return headers.has("idempotency-replayed") ? [] : [[mark, undefined]];
  }
  const told = JSON.parse(body);
  if (dialect === "monotree") return [[String(told.data.id), told.data.text]];
  if (status === 207) {
    return told.data.flatMap(({ id }: { id?: string }) => (id ? [[id, undefined]] : []));
  }
  const sent = JSON.parse(new TextDecoder().decode(putMark(request.body, mark)));
  return [[told.id, sent.text ?? null]];
}

/** What is stored, by the same names; a name comes as often as it is stored. */
function storedOf(
  dialect: DialectName,
  stored: readonly Message[],
): (readonly [name: string, text: Text])[] {
  if (dialect === "headgate") return stored.map(({ id, text }) => [id, text]);
  if (dialect === "monotree") return stored.map(({ number, text }) => [String(number), text]);
  let isOpen = false; // the message before was a full piece, and this may be the next one of the same text
  let before = "";
  return stored.flatMap((message) => {
    const [mark = "unmarked", ...others] = findMarks(JSON.stringify(message));
    // Attachments that do not fit into one event go on in posts without a text.
    const isNext = (isOpen || !message.text) && mark === before;
    isOpen = [...(message.text ?? "")].length === PIECE;
    before = mark;
    return [...(isNext ? [] : [mark]), ...others].map((name) => [name, undefined] as const);
  });
}

const NO_DIFFERENCES = { missing: [], unexpected: [], doubled: [], changed: [] };

/** Unmarked ones, which hold no text of the sender's at all, stand for as many that are missing. */
function findDifferences(
  stored: readonly (readonly [name: string, text: Text])[],
  expected: ReadonlyMap<string, Text>,
) {
  const seen = new Set<string>();
  const doubled: string[] = [];
  const unexpected: string[] = [];
  const changed: string[] = [];
  let unmarked = 0;
  for (const [name, text] of stored) {
    const wanted = expected.get(name);
    if (name === "unmarked") unmarked += 1;
    else if (!expected.has(name)) unexpected.push(name);
    else if (seen.has(name)) doubled.push(name);
    else if (wanted !== undefined && wanted !== text) changed.push(`${wanted} → ${text}`);
    seen.add(name);
  }
  const missing = [...expected.keys()].filter((name) => !seen.has(name));
  if (missing.length === unmarked) missing.length = 0;
  const few = (names: string[]) => names.slice(0, SHOWN);
  return {
    ...{ missing: few(missing), unexpected: few(unexpected) },
    ...{ doubled: few(doubled), changed: few(changed) },
  };
}

/** No process died, and none met what it did not foresee. */
function expectHealth(): void {
  for (const [name, { restarts }] of Object.entries(running.services)) {
    expect({ name, restarts }).toEqual({ name, restarts: 0 });
    const lines = readFileSync(join(running.logFolder, `${name}.log`), "utf8").split("\n");
    expect(lines.filter((line) => /"severity":"ERROR"/i.test(line)).slice(0, SHOWN)).toEqual([]);
  }
}
