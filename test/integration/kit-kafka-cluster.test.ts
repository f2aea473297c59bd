import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import { done, type Followed, openKafka, type Publish, provisionTopics } from "@headgate/kit/kafka";
import type { EventSchema } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { COPIES, startKafkaCluster } from "../support/kafka-cluster.ts";

type Stored = { channel: string; id: string; number: number };

const CALLERS = 16;
const PARTITIONS = 6;

test("brokers of a cluster are killed one after the other: what was acknowledged is there once and in order", {
  timeout: 900_000,
}, async () => {
  const { brokers, processes } = await startKafkaCluster();
  const { log } = createCollectedLog();
  const topic = { ...topics.chatRequested, name: "cluster.test", partitions: PARTITIONS };
  const groups = { work: [topic] };
  await provisionTopics({ brokers, topics: [topic], groups, replication: COPIES, log });
  const kafka = await openKafka({ brokers, clientId: "test", publishTimeoutMs: 20_000, log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  const publish = kafka.publisher(topic);
  const worked: string[] = [];
  const consumer = await kafka.consume(topic, "work", async (events) => {
    worked.push(...events.map(({ id }) => id));
    return events.map(() => done);
  });
  onTestFinished(() => consumer[Symbol.asyncDispose]());
  const stored: Stored[] = [];
  const follower = await kafka.follow(topic, { from: "start" }, (records) => {
    for (const record of records) store(stored, record);
  });
  onTestFinished(() => follower[Symbol.asyncDispose]());
  await eventually(() => consumer.ready && follower.ready && kafka.ready, { timeoutMs: 60_000 });

  const { acked, moreAcked, stop } = startLoad(publish);

  await moreAcked(500);
  // The first controls the others: without it no leader moves.
  for (const process of processes.slice(1)) {
    await process.stop(); // by SIGKILL
    await moreAcked(500); // by the two that are left
    await process.start();
    await moreAcked(500);
  }
  await stop();

  const idsOf = (list: readonly { id: string }[]) => new Set(list.map(({ id }) => id));
  const hasAll = (ids: Set<string>, wanted: Iterable<string>) =>
    [...wanted].every((id) => ids.has(id));
  await eventually(() => hasAll(idsOf(stored), acked), { timeoutMs: 60_000 });
  expectOnceAndInOrder(stored);
  await eventually(() => hasAll(new Set(worked), idsOf(stored)), { timeoutMs: 60_000 });
  const sumOfLag = async () => (await kafka.lag(groups)).reduce((sum, { lag }) => sum + lag, 0);
  await eventually(async () => (await sumOfLag()) === 0, { timeoutMs: 60_000 });
});

test("a broker of a cluster hangs: no publish is refused, and what was acknowledged is there once and in order", {
  timeout: 900_000,
}, async () => {
  const { brokers, processes } = await startKafkaCluster();
  const { log } = createCollectedLog();
  const topic = { ...topics.chatRequested, name: "cluster.hangs", partitions: PARTITIONS };
  await provisionTopics({ brokers, topics: [topic], groups: {}, replication: COPIES, log });
  const kafka = await openKafka({ brokers, clientId: "test", publishTimeoutMs: 30_000, log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  await eventually(() => kafka.ready, { timeoutMs: 60_000 });
  const { acked, refused, moreAcked, waiting, stop } = startLoad(kafka.publisher(topic));
  await moreAcked(500);
  // Not the first: it controls the others, and without it no leader moves.
  for (const broker of processes.slice(1)) {
    broker.kill("SIGSTOP");
    onTestFinished(() => broker.kill("SIGCONT"));
    const stuck = waiting();
    await eventually(() => stuck.every((number) => !waiting().includes(number)), {
      timeoutMs: 60_000,
    });
    await moreAcked(500); // by the two that are left
    broker.kill("SIGCONT");
    await moreAcked(500);
  }
  await stop();
  expect(refused).toEqual([]);
  const stored: Stored[] = [];
  const follower = await kafka.follow(topic, { from: "start" }, (records) => {
    for (const record of records) store(stored, record);
  });
  onTestFinished(() => follower[Symbol.asyncDispose]());
  await follower.caughtUp;
  expectOnceAndInOrder(stored);
  const ids = new Set(stored.map(({ id }) => id));
  expect(acked.filter((id) => !ids.has(id))).toEqual([]);
});

/** Callers that publish one event after the other, each with numbers in a channel of its own. */
function startLoad(publish: Publish<typeof EventSchema>) {
  const acked: string[] = [];
  const refused: string[] = [];
  const underWay = new Set<string>();
  const stopping = new AbortController();
  const load = Array.from({ length: CALLERS }, async () => {
    const channelId = randomUUID();
    for (let number = 0; !stopping.signal.aborted; number++) {
      const event = buildEvent({ channelId, text: `${number}` });
      underWay.add(event.id);
      try {
        await publish([event]);
        acked.push(event.id);
      } catch (thrown) {
        refused.push(AppError.from(thrown).reason);
        await sleep(20);
      }
      underWay.delete(event.id);
    }
  });
  const stop = async () => {
    stopping.abort();
    await Promise.all(load);
  };
  onTestFinished(stop);
  const moreAcked = async (count: number) => {
    const from = acked.length;
    await eventually(() => acked.length >= from + count, { timeoutMs: 60_000 });
  };
  return { acked, refused, moreAcked, waiting: () => [...underWay], stop };
}

function store(stored: Stored[], { key, value }: Followed<typeof EventSchema>): void {
  if (value?.action.case !== "chatMessage") return;
  const number = Number(value.action.value.content?.text);
  stored.push({ channel: key, id: value.id, number });
}

function expectOnceAndInOrder(stored: readonly Stored[]): void {
  expect(stored).toHaveLength(new Set(stored.map(({ id }) => id)).size);
  for (const [, list] of Map.groupBy(stored, ({ channel }) => channel)) {
    const numbers = list.map(({ number }) => number);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
}
