import { expect, test } from "vitest";
import { listWanted } from "./provision.ts";

const sizes = { recordBytesMax: 500_000, batchBytesMax: 2_000_000 };
const orders = { name: "orders.v1", partitions: 12, retention: { ms: 1_000 }, ...sizes };
const changed = {
  name: "registry.changed.v1",
  partitions: 1,
  retention: "compacted",
  ...sizes,
} as const;

test("each group's dead letters have a topic of one partition, kept for a month", () => {
  const wanted = listWanted([orders, changed], { chat: [orders] }, 1);
  expect(wanted.map(({ name, partitions }) => [name, partitions])).toEqual([
    ["orders.v1", 12],
    ["registry.changed.v1", 1],
    ["orders.v1.chat.dead", 1],
  ]);
  expect(wanted[2]?.config["retention.ms"]).toBe(String(30 * 86_400_000));
});

test("a dead-letter topic takes any record of its source and the headers that a dead letter adds", () => {
  const [source, dead] = listWanted([orders], { chat: [orders] }, 1);
  const batchBytes = (topic: typeof source) => topic?.bounds[0]?.value;
  expect(batchBytes(source)).toBe(2_000_000);
  expect(batchBytes(dead)).toBeGreaterThanOrEqual(2_000_000 + 64 * 1_024);
});

test("retention is a time or compaction", () => {
  const [first, second] = listWanted([orders, changed], {}, 1);
  expect(first?.config).toMatchObject({ "cleanup.policy": "delete", "retention.ms": "1000" });
  expect(second?.config["cleanup.policy"]).toBe("compact");
  expect(second?.config["retention.ms"]).toBeUndefined();
});

test("two copies must be there from a replication of three on", () => {
  const inSync = (replication: number) =>
    listWanted([orders], {}, replication)[0]?.config["min.insync.replicas"];
  expect([1, 2, 3, 5].map(inSync)).toEqual(["1", "1", "2", "2"]);
});
