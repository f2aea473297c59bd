import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { done, openKafka, provisionTopics } from "@headgate/kit/kafka";
import { topics } from "@headgate/proto/topics";
import { expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { COPIES, startKafkaCluster } from "../support/kafka-cluster.ts";

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
  const stored: { channel: string; id: string; number: number }[] = [];
  const follower = await kafka.follow(topic, { from: "start" }, (records) => {
    for (const { key, value } of records) {
      const { action } = value ?? {};
      if (!value || action?.case !== "chatMessage") continue;
      stored.push({ channel: key, id: value.id, number: Number(action.value.content?.text) });
    }
  });
  onTestFinished(() => follower[Symbol.asyncDispose]());
  await eventually(() => consumer.ready && follower.ready && kafka.ready, { timeoutMs: 60_000 });

  const acked: string[] = [];
  const stopping = new AbortController();
  const load = Array.from({ length: CALLERS }, async () => {
    const channelId = randomUUID();
    for (let number = 0; !stopping.signal.aborted; number++) {
      const event = buildEvent({ channelId, text: `${number}` });
      try {
        await publish([event]);
        acked.push(event.id);
      } catch {
        await sleep(20);
      }
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
  expect(stored).toHaveLength(idsOf(stored).size); // none twice
  for (const [, list] of Map.groupBy(stored, ({ channel }) => channel)) {
    const numbers = list.map(({ number }) => number);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
  await eventually(() => hasAll(new Set(worked), idsOf(stored)), { timeoutMs: 60_000 });
  const sumOfLag = async () => (await kafka.lag(groups)).reduce((sum, { lag }) => sum + lag, 0);
  await eventually(async () => (await sumOfLag()) === 0, { timeoutMs: 60_000 });
});
