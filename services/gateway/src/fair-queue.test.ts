import { expect, test } from "vitest";
import { createFairQueue } from "./fair-queue.ts";

/** A queue whose tasks end when a test says so, in the order of their starts. The first letter names the hook. */
function open(window: number) {
  const queue = createFairQueue({ window: () => window });
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const run = (name: string, events = 1) =>
    queue.run(name.slice(0, 1), events, async () => {
      started.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
      return name;
    });
  const endFirst = async () => {
    ends.shift()?.();
    await new Promise(setImmediate);
  };
  return { queue, run, started, endFirst };
}

test("runs at once what a hook's half of the window has room for, the rest in order", async () => {
  const { queue, run, started, endFirst } = open(20);
  const first = run("a0");
  for (let at = 1; at < 12; at++) void run(`a${at}`);
  expect([started.length, queue.queued]).toEqual([10, 2]);
  await endFirst();
  expect([started.at(-1), queue.queued]).toEqual(["a10", 1]);
  expect(await first).toBe("a0");
});

test("a hook with few events under way starts at once, however long another one's backlog is", async () => {
  const { run, started } = open(20);
  for (let at = 0; at < 100; at++) void run(`a${at}`);
  for (let at = 0; at < 100; at++) void run(`b${at}`);
  for (let at = 0; at < 8; at++) void run(`c${at}`);
  expect(started.filter((name) => name.startsWith("c"))).toHaveLength(8);
});

test("serves the hooks by turns, each in its own order", async () => {
  const { run, started, endFirst } = open(20);
  for (const hook of ["a", "b", "c"]) {
    for (let at = 0; at < 40; at++) void run(`${hook}${at}`);
  }
  for (let at = 0; at < 60; at++) await endFirst();
  const of = (hook: string) => started.filter((name) => name.startsWith(hook));
  for (const hook of ["a", "b", "c"]) {
    expect(of(hook).length).toBeGreaterThan(20);
    expect(of(hook)).toEqual(of(hook).map((_, at) => `${hook}${at}`));
  }
});

test("a large task counts by its events", async () => {
  const { run, started, endFirst } = open(20);
  void run("a0", 1_000);
  void run("a1", 1_000);
  void run("b0", 1);
  expect(started).toEqual(["a0", "b0"]);
  await endFirst();
  expect(started).toEqual(["a0", "b0", "a1"]);
});

test("a task that fails gives its room back and fails its caller", async () => {
  const queue = createFairQueue({ window: () => 1 });
  const fail = () => Promise.reject(new Error("no"));
  const all = Array.from({ length: 20 }, () => queue.run("a", 1, fail));
  for (const one of all) await expect(one).rejects.toThrow("no");
  expect([await queue.run("a", 1, async () => "done"), queue.queued]).toEqual(["done", 0]);
});
