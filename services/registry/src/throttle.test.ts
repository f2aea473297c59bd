import { expect, test } from "vitest";
import { createThrottle } from "./throttle.ts";

function fail(throttle: ReturnType<typeof createThrottle>, name: string, times: number): void {
  for (let round = 0; round < times; round++) throttle.fail(name);
}

test("ten failures close a name until a minute after the first", () => {
  let ms = 0;
  const throttle = createThrottle(() => ms);
  fail(throttle, "a", 9);
  throttle.check("a");
  ms = 30_000;
  fail(throttle, "a", 1);
  expect(() => throttle.check("a")).toThrow(
    expect.objectContaining({ reason: "too_many_failures", retryAfterMs: 30_000 }),
  );
  throttle.check("b");
  ms = 60_000;
  throttle.check("a");
});

test("a success forgets the failures", () => {
  const throttle = createThrottle(() => 0);
  fail(throttle, "a", 10);
  throttle.clear("a");
  throttle.check("a");
});

test("many names take bounded memory: the oldest are forgotten", () => {
  const throttle = createThrottle(() => 0);
  fail(throttle, "first", 10);
  for (let at = 0; at < 10_000; at++) throttle.fail(`name-${at}`);
  throttle.check("first");
});
