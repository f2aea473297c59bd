import { expect, test } from "vitest";
import { createLoad } from "./load.ts";

test("a log that stands still lets in few, whatever the rate was", () => {
  const load = createLoad({ now: () => 0 });
  for (let at = 0; at < 512; at++) {
    expect(load.isFull()).toBe(false);
    load.enter();
  }
  expect(load.isFull()).toBe(true);
  for (let at = 0; at < 512; at++) load.enter(); // let in before the bound was met
  expect(() => load.enter()).toThrow(expect.objectContaining({ reason: "overloaded" }));
  expect(load.waiting).toBe(1024);
});

test("the bound follows the rate: no more wait than the log answers in 50 ms", () => {
  let nowMs = 0;
  const load = createLoad({ now: () => nowMs });
  for (let at = 0; at < 4000; at++) {
    nowMs += 0.5; // 2 kept in each ms in all
    for (let twenty = 0; twenty < 10; twenty++) {
      load.enter();
      load.leave(true);
    }
  }
  expect(load.limit).toBeGreaterThan(980);
  expect(load.limit).toBeLessThan(1020);
});

test("bodies beyond the bytes that may be held are refused", () => {
  const load = createLoad();
  load.reserve(64 * 1024 * 1024);
  expect(load.isFull()).toBe(true);
  expect(() => load.reserve(1)).toThrow(expect.objectContaining({ reason: "overloaded" }));
  load.release(64 * 1024 * 1024);
  expect(load.isFull()).toBe(false);
});
