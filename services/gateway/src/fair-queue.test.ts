import { expect, test } from "vitest";
import { createFairQueue } from "./fair-queue.ts";

/** A queue whose tasks end when they are told to. */
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

test("runs at once what the window has room for", async () => {
  const { queue, run, started, endFirst } = open(2);
  const first = run("a1");
  void run("a2");
  void run("a3");
  expect([started, queue.queued]).toEqual([["a1", "a2"], 1]);
  await endFirst();
  expect([started, queue.queued]).toEqual([["a1", "a2", "a3"], 0]);
  expect(await first).toBe("a1");
});

test("serves the hooks by turns, each in its own order", async () => {
  const { run, started, endFirst } = open(1);
  for (const name of ["a1", "a2", "a3"]) void run(name, 8);
  void run("b1");
  void run("b2");
  for (let at = 0; at < 5; at++) await endFirst();
  expect(started).toEqual(["a1", "a2", "b1", "b2", "a3"]);
});

test("a task larger than the window runs alone", async () => {
  const { run, started, endFirst } = open(10);
  void run("a1", 1_000);
  void run("b1");
  expect(started).toEqual(["a1"]);
  await endFirst();
  expect(started).toEqual(["a1", "b1"]);
});

test("a task that fails gives its room back and fails its caller", async () => {
  const queue = createFairQueue({ window: () => 1 });
  const first = queue.run("a", 1, () => Promise.reject(new Error("no")));
  const second = queue.run("a", 1, async () => "done");
  await expect(first).rejects.toThrow("no");
  expect(await second).toBe("done");
});
