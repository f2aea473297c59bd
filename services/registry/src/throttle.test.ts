import { expect, test } from "vitest";
import { type Attempt, createThrottle } from "./throttle.ts";

const a = { name: "a", source: "192.0.2.1" };

function fail(throttle: ReturnType<typeof createThrottle>, attempt: Attempt, times: number): void {
  for (let round = 0; round < times; round++) throttle.fail(attempt);
}

function closed(retryAfterMs: number) {
  return expect.objectContaining({ reason: "too_many_failures", retryAfterMs });
}

test("ten failures from one address close a name for it until a minute after the first", () => {
  let ms = 0;
  const throttle = createThrottle(() => ms);
  fail(throttle, a, 9);
  throttle.check(a);
  ms = 30_000;
  fail(throttle, a, 1);
  expect(() => throttle.check(a)).toThrow(closed(30_000));
  throttle.check({ ...a, name: "b" });
  ms = 60_000;
  throttle.check(a);
});

test("one address cannot close a name for another; a hundred failures from many addresses do", () => {
  const throttle = createThrottle(() => 0);
  const from = (host: number) => ({ name: "a", source: `192.0.2.${host}` });
  for (let host = 1; host <= 10; host++) {
    throttle.check(from(99));
    fail(throttle, from(host), 10);
  }
  expect(() => throttle.check(from(99))).toThrow(closed(60_000));
});

test("a success forgets the failures from its address, and no others", () => {
  const throttle = createThrottle(() => 0);
  const other = { ...a, source: "192.0.2.2" };
  fail(throttle, a, 10);
  fail(throttle, other, 10);
  throttle.clear(a);
  throttle.check(a);
  expect(() => throttle.check(other)).toThrow(closed(60_000));
});

test("many names take bounded memory: the oldest are forgotten", () => {
  const throttle = createThrottle(() => 0);
  fail(throttle, a, 10);
  for (let at = 0; at < 10_000; at++) throttle.fail({ ...a, name: `name-${at}` });
  throttle.check(a);
});
