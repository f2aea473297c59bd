import { expect, test } from "vitest";
import { type Cluster, TopicUnknown } from "./cluster.ts";
import { readLag } from "./lag.ts";
import type { Link } from "./link.ts";

const GROUPS = { work: [{ name: "orders.v1" }] };

/** Partitions that end at 10, of which 4 records are committed; what is fetched of them cannot be read. */
function createFakeCluster({ leaders }: { leaders: number[] }): Cluster {
  const link: Link = {
    open: true,
    address: "127.0.0.1:9092",
    async call(api, params) {
      const [topic] = (
        params as { topics: { partitions: { partition: number; timestamp?: number }[] }[] }
      ).topics;
      const partitions = (topic?.partitions ?? []).map(({ partition, timestamp }) => ({
        partition,
        errorCode: 0,
        metadata: null,
        offset: api === "OffsetFetch" ? "4" : timestamp === -1 ? "10" : "0",
      }));
      return { responses: [{ topic: "orders.v1", partitions }] } as never; // both answers have this form
    },
    send: async () =>
      [
        { partition: 0, code: 0, highWatermark: 10, bytes: Buffer.alloc(100, 7).fill(0, 8, 12) },
      ] as never,
    close() {},
  };
  return {
    countPartitions: () => leaders.length,
    whyUnknown: (topic) => new TopicUnknown(topic, 3),
    leaderOf: (_, partition) => leaders[partition] ?? -1,
    refresh: async () => {},
    link: async () => link,
    anyLink: async () => link,
    coordinator: async () => link,
    controller: async () => link,
    close() {},
    connected: true,
    reportRefusal: () => {},
  };
}

test("a record that cannot be read hides no lag", async () => {
  expect(await readLag(createFakeCluster({ leaders: [1, 1] }), GROUPS)).toMatchObject([
    { partition: 0, lag: 6, oldestMs: undefined },
    { partition: 1, lag: 6, oldestMs: undefined },
  ]);
});

test("a partition without a leader is left out, and the lag of the others is told", async () => {
  expect(await readLag(createFakeCluster({ leaders: [1, -1] }), GROUPS)).toMatchObject([
    { partition: 0, lag: 6 },
  ]);
});

test("no leader at all is an error", async () => {
  await expect(readLag(createFakeCluster({ leaders: [-1, -1] }), GROUPS)).rejects.toMatchObject({
    reason: "log_unavailable",
  });
});
