import { randomUUID } from "node:crypto";
import { AppError } from "@headgate/kit/errors";
import { dead, openKafka, provisionTopics } from "@headgate/kit/kafka";
import { createCluster } from "@headgate/kit/kafka/cluster";
import { createFetch } from "@headgate/kit/kafka/fetch";
import { EVENT_BYTES_MAX, topics } from "@headgate/proto/topics";
import { describe, expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { useParts } from "../support/parts.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A topic of one partition with dead letters for group "work", provisioned with each of `sizes` in turn. */
async function open(...sizes: { recordBytesMax: number; batchBytesMax: number }[]) {
  const { kafkaBrokers: brokers } = await useParts();
  const { log, lines } = createCollectedLog();
  const declared = { ...topics.chatRequested, name: `test.${randomUUID()}`, partitions: 1 };
  let topic = declared;
  for (const { recordBytesMax, batchBytesMax } of sizes) {
    topic = { ...declared, recordBytesMax, batchBytesMax };
    await provisionTopics({ brokers, topics: [topic], groups: { work: [topic] }, log });
  }
  const kafka = await openKafka({ brokers, clientId: "test", log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  const altered = lines.filter(({ msg }) => msg === "log.topic_altered");
  return { topic, kafka, publish: kafka.publisher(topic), altered, brokers, log };
}

/** How many records each batch of a topic's only partition has, in the broker's own bytes. */
async function readBatches({ topic, brokers, log }: Awaited<ReturnType<typeof open>>) {
  const cluster = createCluster({ brokers, clientId: "test", log });
  onTestFinished(() => cluster.close());
  await cluster.refresh([topic.name]);
  const link = await cluster.link(cluster.leaderOf(topic.name, 0), "test");
  const bounds = { waitMs: 100, bytesMax: 64 * MIB, partBytesMax: 64 * MIB };
  const [part] = await link.send(createFetch(topic.name, [{ partition: 0, offset: 0 }], bounds));
  const { bytes } = part ?? { bytes: Buffer.alloc(0) };
  const counts: number[] = [];
  for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8)) {
    counts.push(bytes.readInt32BE(at + 57));
  }
  return counts;
}

describe("sizes of topics", () => {
  test("a topic that was made with Kafka's default takes what is declared once it is provisioned again", async () => {
    const { publish, topic, altered } = await open(
      { recordBytesMax: 1_000_000, batchBytesMax: 1_048_588 },
      { recordBytesMax: 2 * MIB, batchBytesMax: 3 * MIB },
    );
    expect(altered.map((line) => line.topic).sort()).toEqual([
      topic.name,
      `${topic.name}.work.dead`,
    ]);
    await publish([buildEvent({ text: "x".repeat(2 * MIB - KIB) })]);
  });

  test("a topic that takes more than declared is left as it is", async () => {
    const { altered } = await open(
      { recordBytesMax: 2 * MIB, batchBytesMax: 3 * MIB },
      { recordBytesMax: 1_000_000, batchBytesMax: 2 * MIB },
    );
    expect(altered).toEqual([]);
  });

  test("the largest event has room in every topic it passes, and one record more than that is refused", async () => {
    const { chatRequested, chatPosted } = topics;
    const { publish } = await open(chatRequested);
    await publish([buildEvent({ text: "x".repeat(EVENT_BYTES_MAX) })]);
    expect(chatPosted.recordBytesMax).toBeGreaterThan(chatRequested.recordBytesMax + 64 * KIB);
    const failure = await publish([
      buildEvent({ text: "x".repeat(chatRequested.recordBytesMax) }),
    ]).then(() => undefined, AppError.from);
    expect(failure?.reason).toBe("record_too_large");
  });

  test("the largest record that a topic takes is dead-lettered whole, and its partition goes on", async () => {
    const { kafka, topic, publish } = await open({
      recordBytesMax: 3 * MIB - KIB,
      batchBytesMax: 3 * MIB,
    });
    const large = buildEvent({ text: "x".repeat(3 * MIB - 2 * KIB) });
    const small = buildEvent();
    const worked: string[] = [];
    const consumer = await kafka.consume(topic, "work", async (events) => {
      worked.push(...events.map(({ id }) => id));
      return events.map(() => dead("not_wanted"));
    });
    onTestFinished(() => consumer[Symbol.asyncDispose]());
    await publish([large]);
    await publish([small]);
    const letters: string[] = [];
    const follower = await kafka.follow(
      { ...topic, name: `${topic.name}.work.dead` },
      { from: "start" },
      (records) => letters.push(...records.map(({ value }) => value?.id ?? "")),
    );
    onTestFinished(() => follower[Symbol.asyncDispose]());
    await eventually(() => letters.length === 2);
    expect(letters).toEqual([large.id, small.id]);
    expect(worked).toEqual([large.id, small.id]);
  });

  test("the records of one call are one batch on the broker, and more than a batch takes are refused whole", async () => {
    const opened = await open(topics.chatRequested);
    const events = (count: number) =>
      Array.from({ length: count }, () => buildEvent({ text: "x".repeat(1_000) }));
    await opened.publish(events(2_500));
    const tooMany = opened.publish(events(5_000)).then(() => undefined, AppError.from);
    expect((await tooMany)?.reason).toBe("batch_too_large");
    await opened.kafka.publisher(opened.topic)(events(5_000), { atomic: false });
    const [first, ...rest] = await readBatches(opened);
    expect(first).toBe(2_500);
    expect(rest.length).toBeGreaterThan(1);
    expect(rest.reduce((sum, count) => sum + count, 0)).toBe(5_000);
  });
});
