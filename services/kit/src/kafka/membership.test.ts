import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLog } from "../log.ts";
import { encodeAssignment } from "./assignment.ts";
import { type Cluster, TopicUnknown } from "./cluster.ts";
import type { Link } from "./link.ts";
import { type Membership, openMembership } from "./membership.ts";
import { createKafkaMetrics } from "./metrics.ts";

const TOPIC = "orders.v1";
const COORDINATOR_MOVED = 16;
const COORDINATOR_LOADING = 14;
const REBALANCE = 27;
const GROUP_DENIED = 30;

let opened: Membership | undefined;
let finishDrain = () => {};
beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  const closing = opened?.close();
  await vi.advanceTimersByTimeAsync(0);
  finishDrain();
  await vi.advanceTimersByTimeAsync(5_000);
  await closing;
  vi.useRealTimers();
});

class Refusal extends Error {
  override readonly name = "KafkaJSProtocolError"; // as kafkajs names refusals
  readonly code: number;

  constructor(code: number) {
    super(`refused with ${code}`);
    this.code = code;
  }
}

/** A coordinator that answers each heartbeat with the next of `beats` (a code, 0: fine), and then with `last`. */
function open({
  beats = [],
  last = 0,
  joins = 0,
}: {
  beats?: number[];
  last?: number;
  joins?: number;
}) {
  const calls: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const revoking: (() => void)[] = [];
  let lookUps = 0;
  const answers: Record<string, () => unknown> = {
    JoinGroup() {
      if (joins !== 0) throw new Refusal(joins);
      return { generationId: 1, leaderId: "other", memberId: "me", members: [] };
    },
    SyncGroup: () => ({ memberAssignment: encodeAssignment(new Map([[TOPIC, [0]]])) }),
    OffsetFetch: () => ({ responses: [] }),
    Heartbeat() {
      const code = beats.shift() ?? last;
      if (code !== 0) throw new Refusal(code);
      return {};
    },
  };
  const link: Link = {
    open: true,
    address: "127.0.0.1:9092",
    async call(api) {
      calls.push(api);
      return (answers[api]?.() ?? {}) as never; // what the coordinator answers to this request
    },
    send: () => Promise.reject(new Error("not expected")),
    close() {},
  };
  const cluster: Cluster = {
    countPartitions: () => 1,
    whyUnknown: (topic) => new TopicUnknown(topic, 3),
    leaderOf: () => 1,
    refresh: async () => {},
    link: async () => link,
    anyLink: async () => link,
    async coordinator() {
      lookUps++;
      return link;
    },
    controller: async () => link,
    close() {},
    connected: true,
    reportRefusal: () => {},
  };
  const membership = openMembership({
    cluster,
    log: createLog({ service: "test", write: (line) => void lines.push(JSON.parse(line)) }),
    metrics: createKafkaMetrics(),
    group: "work",
    topic: TOPIC,
    clientId: "test",
    purpose: "group",
    onAssigned() {},
    onRevoked: () => new Promise((resolve) => revoking.push(resolve)),
  });
  opened = membership;
  const count = (api: string) => calls.filter((name) => name === api).length;
  finishDrain = () => {
    for (const resolve of revoking.splice(0)) resolve();
  };
  return { membership, count, lines, lookUps: () => lookUps };
}

test("a coordinator that moved while partitions are drained is looked up again, and heartbeats go on", async () => {
  const { count, lookUps } = open({
    beats: [REBALANCE, 0, COORDINATOR_MOVED, COORDINATOR_MOVED],
  });
  await vi.advanceTimersByTimeAsync(1_500); // joined, and told to join again
  const known = lookUps();
  await vi.advanceTimersByTimeAsync(4_000); // the drain takes its time
  expect(count("Heartbeat")).toBeGreaterThanOrEqual(4);
  expect(lookUps()).toBe(known + 2);
  expect(count("JoinGroup")).toBe(1);
});

test("a wall clock that jumps ahead does not end a membership", async () => {
  const { membership, count } = open({ beats: [0, COORDINATOR_LOADING] });
  await vi.advanceTimersByTimeAsync(1_500);
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(count("JoinGroup")).toBe(1);
  expect(membership.ready).toBe(true);
});

test("a group that the client has no right to is named in the log with what to do, and asked for seldom", async () => {
  const { membership, count, lines } = open({ joins: GROUP_DENIED });
  await vi.advanceTimersByTimeAsync(25_000);
  expect(count("JoinGroup")).toBe(1);
  expect(membership.ready).toBe(false);
  expect(lines.filter(({ msg }) => msg === "log.access_denied")).toMatchObject([
    {
      severity: "error",
      group: "work",
      code: GROUP_DENIED,
      hint: expect.stringContaining("grant"),
    },
  ]);
});
