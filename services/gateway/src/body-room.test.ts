import type { AppError } from "@headgate/kit/errors";
import { expect, test } from "vitest";
import { createBodyRoom } from "./body-room.ts";

const KIB = 1024;
const bounds = {
  totalBytesMax: 8_192 * KIB,
  hookBytesMax: 6_144 * KIB,
  sourceBytesMax: 4_096 * KIB,
};
const overloaded = expect.objectContaining({ reason: "overloaded" });

/** A body of so many KiB that is still arriving; `refused` collects what it is refused with. */
function arriving(room: ReturnType<typeof createBodyRoom>, holder: string, kib: number) {
  const refused: AppError[] = [];
  const body = room.open("192.0.2.1");
  body.assignTo(holder);
  body.refuse = (error) => {
    body.refuse = undefined;
    refused.push(error);
  };
  body.take(kib * KIB);
  return { body, refused };
}

test("a client address, and a hook, has no more than its share", () => {
  const room = createBodyRoom(bounds);
  const unknown = room.open("192.0.2.1");
  unknown.take(4_096 * KIB);
  expect(() => room.open("192.0.2.1").take(1)).toThrow(overloaded);
  room.open("192.0.2.2").take(1);
  const { body } = arriving(room, "hook:a", 1);
  expect(() => body.take(6_144 * KIB)).toThrow(overloaded);
});

test("a body whose hook becomes known counts for the hook from then on", () => {
  const room = createBodyRoom(bounds);
  const body = room.open("192.0.2.1");
  body.take(4_096 * KIB);
  body.assignTo("hook:a");
  room.open("192.0.2.1").take(1_000 * KIB);
  expect(room.bytes).toBe(5_096 * KIB);
});

test("a full room takes from its largest holder, and refuses no small one", () => {
  const room = createBodyRoom(bounds);
  const large = [1, 2, 3, 4].map(() => arriving(room, "hook:large", 1_024));
  const middle = arriving(room, "hook:middle", 2_048);
  const { refused } = arriving(room, "hook:quiet", 4);
  for (let at = 0; at < 100; at++) arriving(room, "hook:next", 10);
  const more = arriving(room, "hook:other", 2_048);
  expect([refused, middle.refused, more.refused]).toEqual([[], [], []]);
  expect(large.filter(({ refused }) => refused.length > 0).length).toBeGreaterThan(0);
  expect(large.flatMap(({ refused }) => refused)[0]).toEqual(overloaded);
});

test("large holders leave the last quarter to small ones, when nothing can be taken from them", () => {
  const room = createBodyRoom(bounds);
  for (const name of ["a", "b", "c"]) {
    const { body } = arriving(room, `hook:${name}`, 2_048);
    body.refuse = undefined; // it has arrived whole
  }
  expect(() => arriving(room, "hook:d", 2_048)).toThrow(overloaded);
  arriving(room, "hook:quiet", 1_024);
  arriving(room, "hook:quiet too", 1_000);
  expect(room.bytes).toBeLessThanOrEqual(bounds.totalBytesMax);
});

test("what is closed is free again, once", () => {
  const room = createBodyRoom(bounds);
  const { body } = arriving(room, "hook:a", 1_024);
  body.close();
  body.close();
  expect(room.bytes).toBe(0);
});
