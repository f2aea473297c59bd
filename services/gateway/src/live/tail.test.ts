import type { Follower } from "@headgate/kit/kafka";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createTail } from "./tail.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function open() {
  const caughtUp = Promise.withResolvers<void>();
  const log: string[] = [];
  const began: number[] = [];
  const takers: ((record: string) => void)[] = [];
  const tail = createTail<string>({
    async follow(take) {
      log.push("follow");
      takers.push(take);
      const follower: Follower = {
        began: Promise.resolve(new Map([[0, { earliest: 0, latest: 7 }]])),
        caughtUp: caughtUp.promise,
        ready: true,
        async [Symbol.asyncDispose]() {
          log.push("closed");
        },
      };
      return follower;
    },
    onBegan: (edges) => began.push(edges.size),
    onRecords: (record) => log.push(record),
    onStopped: () => log.push("stopped"),
    idleMs: 1_000,
  });
  return { tail, caughtUp, log, takers, began };
}

test("is read from the first hold on, once, and says when nothing is missed any more", async () => {
  const { tail, caughtUp, log, began } = open();
  expect(tail.ready).toBe(true);
  const first = tail.hold();
  const second = tail.hold();
  expect(log).toEqual(["follow"]);
  expect(second.live).toBe(first.live);
  expect(tail.ready).toBe(false);
  caughtUp.resolve();
  await first.live;
  expect(began).toEqual([1]);
  expect(tail.ready).toBe(true);
  expect(tail.hold().live).toBeUndefined();
});

test("is read for a while after the last release, and then no more", async () => {
  const { tail, caughtUp, log } = open();
  caughtUp.resolve();
  const first = tail.hold();
  await first.live;
  first.release();
  await vi.advanceTimersByTimeAsync(900);
  tail.hold().release(); // somebody came in between: the while begins anew
  await vi.advanceTimersByTimeAsync(900);
  expect(log).toEqual(["follow"]);
  await vi.advanceTimersByTimeAsync(200);
  expect(log).toEqual(["follow", "stopped", "closed"]);
  expect(tail.hold().live).toBeInstanceOf(Promise);
  expect(log).toHaveLength(4);
});

test("hands over what is read, and nothing of a reading that has ended", async () => {
  const { tail, caughtUp, log, takers } = open();
  caughtUp.resolve();
  const first = tail.hold();
  await first.live;
  takers[0]?.("one");
  first.release();
  await vi.advanceTimersByTimeAsync(1_100);
  tail.hold();
  takers[0]?.("late");
  takers[1]?.("two");
  expect(log).toEqual(["follow", "one", "stopped", "closed", "follow", "two"]);
});

test("is read as long as one still holds it", async () => {
  const { tail, caughtUp, log } = open();
  caughtUp.resolve();
  const [first] = [tail.hold(), tail.hold()];
  first?.release();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(log).toEqual(["follow"]);
});

test("ends with the process, also when it was about to begin", async () => {
  const { tail, log } = open();
  tail.hold();
  await tail[Symbol.asyncDispose]();
  expect(log).toEqual(["follow", "stopped", "closed"]);
});
