import { expect, test } from "vitest";
import { assign, decodeAssignment, encodeAssignment, encodeSubscription } from "./assignment.ts";

test("every partition has one owner, and shares differ by one at most", () => {
  for (const members of [["a"], ["b", "a"], ["c", "a", "b", "e", "d"]]) {
    const shares = assign(members, 12);
    expect(shares.flatMap(({ partitions }) => partitions).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, at) => at),
    );
    const sizes = shares.map(({ partitions }) => partitions.length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  }
});

test("all members come to the same shares, in whatever order they are named", () => {
  expect(assign(["b", "a", "c"], 7)).toEqual(assign(["c", "b", "a"], 7));
});

test("members beyond the partitions get an empty share", () => {
  expect(assign(["a", "b"], 1)).toEqual([
    { memberId: "a", partitions: [0] },
    { memberId: "b", partitions: [] },
  ]);
});

test("an assignment is read as it was written, another topic's is not ours", () => {
  const bytes = encodeAssignment("chat.requested.v1", [0, 3, 11]);
  expect(decodeAssignment(bytes, "chat.requested.v1")).toEqual([0, 3, 11]);
  expect(decodeAssignment(bytes, "wall.requested.v1")).toEqual([]);
  expect(decodeAssignment(Buffer.alloc(0), "chat.requested.v1")).toEqual([]);
});

test("a subscription has Kafka's layout: version, topics, user data", () => {
  expect(encodeSubscription("ab").toString("hex")).toBe(
    "0000" + "00000001" + "00026162" + "00000000",
  );
});
