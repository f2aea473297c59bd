import { randomUUID } from "node:crypto";
import {
  type Consumer,
  done,
  type Handler,
  type Kafka,
  openKafka,
  provisionTopics,
} from "@headgate/kit/kafka";
import type { EventSchema } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { describe, expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { useParts } from "../support/parts.ts";

type EventTopic = typeof topics.chatRequested;

/** A value nearly as large as a topic of Kafka's default settings takes: with the headers of a dead letter it is too large. */
const LARGE_BYTES = 990_000;

type Settings = { partitions?: number; brokers?: string[]; deadBatchBytesMax?: number };

/** A topic of its own with dead letters for group "work", and a door to it. */
async function open({ partitions = 1, brokers, deadBatchBytesMax }: Settings = {}) {
  const used = brokers ?? (await useParts()).kafkaBrokers;
  const topic: EventTopic = { ...topics.chatRequested, name: `test.${randomUUID()}`, partitions };
  const { log, lines } = createCollectedLog();
  const provision = (groups: Parameters<typeof provisionTopics>[0]["groups"], made = topic) =>
    provisionTopics({ brokers: used, topics: [made], groups, log });
  if (deadBatchBytesMax === undefined) {
    await provision({ work: [topic] });
  } else {
    await provision({});
    const batchBytesMax = deadBatchBytesMax;
    await provision({}, { ...deadLettersOf(topic), batchBytesMax });
  }
  const kafka = await openKafka({ brokers: used, clientId: "test", log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  return { topic, kafka, publish: kafka.publisher(topic), lines };
}

/** A member of group "work", once it is in the group. */
async function consume(
  { kafka, topic }: { kafka: Kafka; topic: EventTopic },
  handler: Handler<typeof EventSchema>,
): Promise<Consumer> {
  const consumer = await kafka.consume(topic, "work", handler);
  onTestFinished(() => consumer[Symbol.asyncDispose]());
  await eventually(() => consumer.ready);
  return consumer;
}

const deadLettersOf = (topic: EventTopic): EventTopic => ({
  ...topic,
  name: `${topic.name}.work.dead`,
  partitions: 1,
});

describe("records that are too large for their dead letter", () => {
  test("do not stop their partition: an undecodable record as large as a topic takes, then a good one", async () => {
    const { kafka, topic, publish, lines } = await open({ deadBatchBytesMax: 100_000 });
    const worked: string[] = [];
    await consume({ kafka, topic }, async (events) => {
      worked.push(...events.map(({ id }) => id));
      return events.map(() => done);
    });
    const value = Buffer.alloc(LARGE_BYTES, 0xff);
    await kafka.publishRaw([{ topic: topic.name, key: "k", value }]);
    const good = buildEvent();
    await publish([good]);
    await eventually(() => worked.length === 1);
    expect(worked).toEqual([good.id]);
    expect(lines.filter(({ msg }) => msg === "log.record_buried")).toMatchObject([
      { reason: "undecodable", offset: 0 },
    ]);
    expect(lines.filter(({ msg }) => msg === "log.dead_value_omitted")).toMatchObject([
      { reason: "undecodable", offset: 0, omitted_bytes: LARGE_BYTES },
    ]);
  });
});
