import { randomUUID } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { done, type Followed, openKafka, provisionTopics } from "@headgate/kit/kafka";
import { type Event, EventSchema } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { describe, expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { CODECS, openForeignKafka } from "../support/foreign-kafka.ts";
import { useParts } from "../support/parts.ts";

const COUNT = 60;
const codecNames = Object.keys(CODECS) as (keyof typeof CODECS)[];

/** A topic of three partitions, our client and the foreign one. */
async function open() {
  const { kafkaBrokers: brokers } = await useParts();
  const { log } = createCollectedLog();
  const topic = { ...topics.chatRequested, name: `interop.${randomUUID()}`, partitions: 3 };
  const provision = () =>
    provisionTopics({ brokers, topics: [topic], groups: { work: [topic] }, log });
  const kafka = await openKafka({ brokers, clientId: "test", log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  return { topic, kafka, provision, foreign: await openForeignKafka({ brokers }) };
}

const buildEvents = (count = COUNT) =>
  Array.from({ length: count }, (_, at) => buildEvent({ text: `${at} `.repeat(50) }));
const channelOf = ({ action }: Event) =>
  action.case === "chatMessage" ? action.value.channelId : "";

describe("kafkajs' public client", () => {
  test.each(codecNames)("writes with %s what a consumer and a follower read", async (codec) => {
    const { topic, kafka, provision, foreign } = await open();
    await provision();
    const events = buildEvents();
    const producer = await foreign.openProducer();
    await producer.send({
      topic: topic.name,
      compression: CODECS[codec],
      messages: events.map((event) => ({
        key: channelOf(event),
        value: Buffer.from(toBinary(EventSchema, event)),
        headers: { source: "elsewhere", twice: ["a", "b"], bytes: Buffer.from([0, 255]) },
      })),
    });
    const worked = new Set<string>();
    const consumer = await kafka.consume(topic, "work", async (values) => {
      for (const { id } of values) worked.add(id);
      return values.map(() => done);
    });
    onTestFinished(() => consumer[Symbol.asyncDispose]());
    const followed: Followed<typeof EventSchema>[] = [];
    const follower = await kafka.follow(topic, { from: "start" }, (some) => followed.push(...some));
    onTestFinished(() => follower[Symbol.asyncDispose]());
    await follower.caughtUp;
    const ids = events.map(({ id }) => id).sort();
    expect(followed.map(({ value }) => value?.id).sort()).toEqual(ids);
    for (const { key, value } of followed) expect(key).toBe(value && channelOf(value));
    await eventually(() => worked.size === COUNT);
  });

  test("reads what a publisher writes: values, keys, headers and the partition of each key", async () => {
    const { topic, kafka, provision, foreign } = await open();
    await provision();
    const events = buildEvents();
    await kafka.publisher(topic)(events);
    const producer = await foreign.openProducer();
    await producer.send({
      topic: topic.name,
      messages: events.map((event) => ({ key: channelOf(event), value: "same key" })),
    });
    const records = await foreign.read(topic.name, `foreign-${topic.name}`);
    await eventually(() => records.length === 2 * COUNT);
    const partitions = new Map<string, Set<number>>();
    for (const { key = "", partition } of records) {
      partitions.set(key, (partitions.get(key) ?? new Set()).add(partition));
    }
    expect([...partitions.values()].every(({ size }) => size === 1)).toBe(true);
    const ours = records.filter(({ value }) => String(value) !== "same key");
    const byId = new Map(events.map((event) => [event.id, event]));
    for (const { key, value, headers } of ours) {
      const read = fromBinary(EventSchema, value ?? Buffer.alloc(0));
      expect(read).toEqual(byId.get(read.id));
      expect(key).toBe(channelOf(read));
      expect(headers).toMatchObject({
        ce_id: read.id,
        ce_type: topic.eventType,
        ce_specversion: "1.0",
        "content-type": "application/protobuf",
      });
    }
    expect(ours).toHaveLength(COUNT);
  });

  test("lists the topics that provisioning made, with their partitions and settings", async () => {
    const { topic, provision, foreign } = await open();
    await provision();
    const admin = await foreign.openAdmin();
    const names = [topic.name, `${topic.name}.work.dead`];
    expect(await admin.listTopics()).toEqual(expect.arrayContaining(names));
    const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
    const counts = new Map(found.map(({ name, partitions }) => [name, partitions.length]));
    expect(names.map((name) => counts.get(name))).toEqual([3, 1]);
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({ type: 2, name, configNames: ["max.message.bytes"] })),
    });
    const sizes = resources.map(({ configEntries }) => Number(configEntries[0]?.configValue));
    expect(sizes[0]).toBe(topic.batchBytesMax);
    expect(sizes[1]).toBeGreaterThan(topic.batchBytesMax);
  });
});

describe("a broker that compresses", () => {
  test.each(codecNames.filter((name) => name !== "none"))("with %s is read", async (codec) => {
    const { topic, kafka, foreign } = await open();
    const admin = await foreign.openAdmin();
    const configEntries = [{ name: "compression.type", value: codec }];
    await admin.createTopics({
      waitForLeaders: false, // kafkajs gives up where a topic is not known to the broker yet
      topics: [{ topic: topic.name, numPartitions: topic.partitions, configEntries }],
    });
    const events = buildEvents();
    await kafka.publisher(topic)(events);
    const seen: Followed<typeof EventSchema>[] = [];
    const follower = await kafka.follow(topic, { from: "start" }, (some) => seen.push(...some));
    onTestFinished(() => follower[Symbol.asyncDispose]());
    await follower.caughtUp;
    const ids = events.map(({ id }) => id).sort();
    expect(seen.map(({ value }) => value?.id).sort()).toEqual(ids);
    const [lag] = await eventually(() => kafka.lag({ nobody: [topic] }));
    expect(lag?.oldestMs).toBeGreaterThan(0);
  });
});
