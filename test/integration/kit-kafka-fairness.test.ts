import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { done, type Handler, type Kafka, openKafka, provisionTopics } from "@headgate/kit/kafka";
import type { Event, EventSchema } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { useParts } from "../support/parts.ts";

const BACKLOG = 60_000;
const OTHERS = 24;
/** ms of work for a chunk, as a database would take; reading the backlog takes a fraction of what working it takes. */
const WORK_MS = 25;

type Handled = { channel: string; number: number };

/** One partition in which 24 channels have an event each behind 60,000 of one channel. */
async function openBacklog() {
  const { kafkaBrokers: brokers } = await useParts();
  const topic = { ...topics.chatRequested, name: `test.${randomUUID()}`, partitions: 1 };
  const { log } = createCollectedLog();
  await provisionTopics({ brokers, topics: [topic], groups: { work: [topic] }, log });
  const openDoor = async (): Promise<Kafka> => {
    const kafka = await openKafka({ brokers, clientId: "test", publishTimeoutMs: 60_000, log });
    onTestFinished(() => kafka[Symbol.asyncDispose]());
    return kafka;
  };
  const publish = (await openDoor()).publisher(topic);
  const busy = randomUUID();
  for (let from = 0; from < BACKLOG; from += 3_000) {
    await publish(
      Array.from({ length: 3_000 }, (_, at) =>
        buildEvent({ channelId: busy, text: `${from + at}` }),
      ),
    );
  }
  const others = Array.from({ length: OTHERS }, () => randomUUID());
  for (const channelId of others) await publish([buildEvent({ channelId, text: "0" })]);
  const consume = async (kafka: Kafka, handled: Handled[]) => {
    const handler: Handler<typeof EventSchema> = async (events) => {
      await sleep(WORK_MS);
      handled.push(...events.map(describe));
      return events.map(() => done);
    };
    const consumer = await kafka.consume(topic, "work", handler);
    onTestFinished(() => consumer[Symbol.asyncDispose]());
    return consumer;
  };
  return { busy, others, openDoor, consume, publish };
}

function describe({ action }: Event): Handled {
  if (action.case !== "chatMessage") throw new Error("not a chat message");
  return { channel: action.value.channelId, number: Number(action.value.content?.text) };
}

/** How many records were handled before each channel had its first. */
const placesOf = (handled: readonly Handled[], channels: readonly string[]) =>
  channels.map((wanted) => handled.findIndex(({ channel }) => channel === wanted));

const numbersOf = (handled: readonly Handled[], wanted: string) =>
  handled.filter(({ channel }) => channel === wanted).map(({ number }) => number);

test("a backlog of one channel delays the others of its partition by a part of it, and keeps its own order", {
  timeout: 300_000,
}, async () => {
  const { busy, others, openDoor, consume, publish } = await openBacklog();
  const handled: Handled[] = [];
  await consume(await openDoor(), handled);
  await eventually(() => placesOf(handled, others).every((at) => at >= 0), { timeoutMs: 120_000 });
  for (const at of placesOf(handled, others)) expect(at).toBeLessThan(BACKLOG / 2);
  for (const channelId of others) await publish([buildEvent({ channelId, text: "1" })]);
  await eventually(() => handled.length >= BACKLOG + 2 * OTHERS, { timeoutMs: 120_000 });
  expect(handled).toHaveLength(BACKLOG + 2 * OTHERS);
  expect(numbersOf(handled, busy)).toEqual(Array.from({ length: BACKLOG }, (_, at) => at));
  for (const channel of others) expect(numbersOf(handled, channel)).toEqual([0, 1]);
});

test("a member that dies or leaves in the middle of a backlog loses nothing and breaks no order", {
  timeout: 300_000,
}, async () => {
  const { busy, others, openDoor, consume } = await openBacklog();
  const handled: Handled[][] = [[], [], []];
  const [first, second, third] = handled as [Handled[], Handled[], Handled[]];
  const doomed = await openDoor();
  await consume(doomed, first);
  await eventually(() => placesOf(first, others).every((at) => at >= 0), { timeoutMs: 120_000 });
  await doomed[Symbol.asyncDispose](); // its connections end, and it does not leave the group
  const leaving = await consume(await openDoor(), second);
  await eventually(() => second.length >= 10_000, { timeoutMs: 120_000 });
  await leaving[Symbol.asyncDispose]();
  await consume(await openDoor(), third);
  const all = () => handled.flat();
  await eventually(() => new Set(numbersOf(all(), busy)).size === BACKLOG, { timeoutMs: 120_000 });
  for (const channel of others) expect(numbersOf(all(), channel)).toContain(0);
  // Some come again; each member goes on no later than where the one before broke off, and then in order.
  let reached = -1;
  for (const list of handled) {
    const numbers = numbersOf(list, busy);
    const start = numbers[0] ?? 0;
    expect(start).toBeLessThanOrEqual(reached + 1);
    expect(numbers).toEqual(Array.from(numbers, (_, at) => start + at));
    reached = Math.max(reached, start + numbers.length - 1);
  }
});

test("two topics of one consumer group are each worked whole", async () => {
  const { kafkaBrokers: brokers } = await useParts();
  const { log } = createCollectedLog();
  const name = `test.${randomUUID()}`;
  const pair = ["a", "b"].map((end) => ({ ...topics.chatRequested, name: `${name}.${end}` }));
  await provisionTopics({ brokers, topics: pair, groups: { both: pair }, log });
  const kafka = await openKafka({ brokers, clientId: "test", log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  const worked = new Map(pair.map((topic) => [topic.name, new Set<string>()]));
  for (const topic of pair) {
    const consumer = await kafka.consume(topic, `${name}.both`, async (events) => {
      for (const { id } of events) worked.get(topic.name)?.add(id);
      return events.map(() => done);
    });
    onTestFinished(() => consumer[Symbol.asyncDispose]());
    await eventually(() => consumer.ready);
  }
  for (const topic of pair) {
    await kafka.publisher(topic)(Array.from({ length: 100 }, () => buildEvent()));
  }
  await eventually(() => [...worked.values()].every(({ size }) => size === 100));
});
