import { expect, test } from "vitest";
import {
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "./assignment.ts";

const readers = (ids: string[], ...topics: string[]) =>
  ids.map((memberId) => ({ memberId, topics }));
const ofOrders = (count: number) => new Map([["orders", count]]);

test("every partition has one owner, and shares differ by one at most", () => {
  for (const members of [["a"], ["b", "a"], ["c", "a", "b", "e", "d"]]) {
    const shares = assign(readers(members, "orders"), ofOrders(12));
    const lists = shares.map(({ partitions }) => partitions.get("orders") ?? []);
    expect(lists.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, at) => at));
    const sizes = lists.map(({ length }) => length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  }
});

test("all members come to the same shares, in whatever order they are named", () => {
  const members = readers(["b", "a", "c"], "orders");
  expect(assign(members, ofOrders(7))).toEqual(assign(members.toReversed(), ofOrders(7)));
});

test("members beyond the partitions get an empty share", () => {
  expect(assign(readers(["a", "b"], "orders"), ofOrders(1))).toEqual([
    { memberId: "a", partitions: ofLists({ orders: [0] }) },
    { memberId: "b", partitions: ofLists({ orders: [] }) },
  ]);
});

test("the partitions of a topic go to the members that subscribe to it, and to no others", () => {
  const members = [...readers(["a", "c"], "orders"), ...readers(["b"], "returns")];
  const counts = new Map([
    ["orders", 3],
    ["returns", 2],
  ]);
  expect(assign(members, counts)).toEqual([
    { memberId: "a", partitions: ofLists({ orders: [0, 2] }) },
    { memberId: "b", partitions: ofLists({ returns: [0, 1] }) },
    { memberId: "c", partitions: ofLists({ orders: [1] }) },
  ]);
});

test("an assignment is read as it was written, another topic's is not ours", () => {
  const bytes = encodeAssignment(ofLists({ "chat.requested.v1": [0, 3, 11], other: [1] }));
  expect(decodeAssignment(bytes, "chat.requested.v1")).toEqual([0, 3, 11]);
  expect(decodeAssignment(bytes, "other")).toEqual([1]);
  expect(decodeAssignment(bytes, "wall.requested.v1")).toEqual([]);
  expect(decodeAssignment(Buffer.alloc(0), "chat.requested.v1")).toEqual([]);
});

test("a subscription has Kafka's layout: version, topics, user data", () => {
  const bytes = encodeSubscription("ab");
  expect(bytes.toString("hex")).toBe("0000" + "00000001" + "00026162" + "00000000");
  expect(decodeSubscription(bytes)).toEqual(["ab"]);
  expect(decodeSubscription(Buffer.alloc(0))).toEqual([]);
});

function ofLists(lists: Record<string, number[]>): Map<string, number[]> {
  return new Map(Object.entries(lists));
}
