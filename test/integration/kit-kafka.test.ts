import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import {
  type Consumer,
  dead,
  done,
  drop,
  type Followed,
  type Follower,
  type Handler,
  type Kafka,
  openKafka,
  provisionTopics,
  retry,
} from "@headgate/kit/kafka";
import { recordSpans } from "@headgate/kit/telemetry/recorded-spans";
import type { Event, EventSchema } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { describe, expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { startBroker } from "../support/kafka-broker.ts";
import { useParts } from "../support/parts.ts";

type Settings = { partitions?: number; brokers?: string[] };
type EventTopic = typeof topics.chatRequested;
type EventHandler = Handler<typeof EventSchema>;

/** A topic of its own with dead letters for group "work", and a door to it. */
async function open({ partitions = 3, brokers }: Settings = {}) {
  const used = brokers ?? (await useParts()).kafkaBrokers;
  const topic: EventTopic = { ...topics.chatRequested, name: `test.${randomUUID()}`, partitions };
  const { log, lines } = createCollectedLog();
  await provisionTopics({ brokers: used, topics: [topic], groups: { work: [topic] }, log });
  const openDoor = async (): Promise<Kafka> => {
    const kafka = await openKafka({ brokers: used, clientId: "test", log });
    onTestFinished(() => kafka[Symbol.asyncDispose]());
    return kafka;
  };
  const kafka = await openDoor();
  return { topic, kafka, openDoor, publish: kafka.publisher(topic), brokers: used, log, lines };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** A member of group "work", once it is in the group. */
async function consume(
  { kafka, topic }: Pick<Opened, "kafka" | "topic">,
  handler: EventHandler,
  options = {},
): Promise<Consumer> {
  const consumer = await kafka.consume(topic, "work", handler, options);
  onTestFinished(() => consumer[Symbol.asyncDispose]());
  await eventually(() => consumer.ready);
  return consumer;
}

/** All records of a topic that decode as events, as far as they are there now. */
async function readAll(kafka: Kafka, topic: EventTopic) {
  const seen: Followed<typeof EventSchema>[] = [];
  const follower = await kafka.follow(topic, { from: "start" }, (some) => seen.push(...some));
  await follower.caughtUp;
  await follower[Symbol.asyncDispose]();
  return seen;
}

const deadLettersOf = (topic: EventTopic): EventTopic => ({
  ...topic,
  name: `${topic.name}.work.dead`,
  partitions: 1,
});

const textOf = (event: Event): string =>
  event.action.case === "chatMessage" ? (event.action.value.content?.text ?? "") : "";
const allDone = (events: readonly unknown[]) => events.map(() => done);
/** Asks again where the broker does not serve a topic yet that was just made. */
const sumOfLag = async ({ kafka, topic }: Pick<Opened, "kafka" | "topic">) => {
  const lags = await eventually(() => kafka.lag({ work: [topic] }));
  return lags.reduce((sum, { lag }) => sum + lag, 0);
};

describe("publish and consume", () => {
  test("what was published is worked once and then committed", async () => {
    const opened = await open();
    const worked: Event[] = [];
    await consume(opened, async (events) => {
      worked.push(...events);
      return allDone(events);
    });
    const sent = Array.from({ length: 20 }, (_, at) => buildEvent({ text: `${at}` }));
    await opened.publish(sent);
    await eventually(() => worked.length === 20);
    expect(new Set(worked.map(({ id }) => id))).toEqual(new Set(sent.map(({ id }) => id)));
    await eventually(async () => (await sumOfLag(opened)) === 0);
  });

  test("a record reaches the handler at once, and not with the next look at an idle topic", async () => {
    const opened = await open();
    const arrived = new Map<string, number>();
    await consume(opened, async (events) => {
      for (const { id } of events) arrived.set(id, performance.now());
      return allDone(events);
    });
    const waits: number[] = [];
    for (let at = 0; at < 30; at++) {
      const event = buildEvent();
      const sentAt = performance.now();
      await opened.publish([event]);
      await eventually(() => arrived.has(event.id));
      waits.push((arrived.get(event.id) ?? 0) - sentAt);
    }
    waits.sort((a, b) => a - b);
    expect(waits[15]).toBeLessThan(400); // 3 ms on an idle machine; a broker holds an empty answer back for 500
  });

  test("what was published before the group existed is worked from the first record on", async () => {
    const opened = await open();
    const beforeMs = Date.now();
    await opened.publish([buildEvent(), buildEvent()]);
    const afterMs = Date.now();
    expect(await sumOfLag(opened)).toBe(2);
    const behind = (await opened.kafka.lag({ work: [opened.topic] })).filter(({ lag }) => lag > 0);
    for (const { oldestMs } of behind) {
      expect(oldestMs).toBeGreaterThanOrEqual(beforeMs);
      expect(oldestMs).toBeLessThanOrEqual(afterMs);
    }
    let worked = 0;
    await consume(opened, async (events) => {
      worked += events.length;
      return allDone(events);
    });
    await eventually(() => worked === 2);
  });

  test("records of one key are worked in the order they were published, under load", async () => {
    const opened = await open({ partitions: 6 });
    const worked = new Map<string, number[]>();
    await consume(opened, async (events) => {
      for (const event of events) {
        const channel = event.action.case === "chatMessage" ? event.action.value.channelId : "";
        const list = worked.get(channel) ?? [];
        list.push(Number(textOf(event)));
        worked.set(channel, list);
      }
      return allDone(events);
    });
    const channels = Array.from({ length: 20 }, () => randomUUID());
    await Promise.all(
      channels.flatMap((channelId) =>
        Array.from({ length: 250 }, (_, at) =>
          opened.publish([buildEvent({ channelId, text: `${at}` })]),
        ),
      ),
    );
    const expected = Array.from({ length: 250 }, (_, at) => at);
    await eventually(() => [...worked.values()].flat().length >= 5_000);
    for (const channelId of channels) expect(worked.get(channelId)).toEqual(expected);
  });

  test("chunks are bounded, and partitions are worked at the same time", async () => {
    const opened = await open({ partitions: 4 });
    await opened.publish(Array.from({ length: 400 }, () => buildEvent()));
    let largest = 0;
    let worked = 0;
    let running = 0;
    let together = 0;
    const gate = Promise.withResolvers<void>();
    const handler: EventHandler = async (events) => {
      largest = Math.max(largest, events.length);
      together = Math.max(together, ++running);
      await gate.promise;
      running--;
      worked += events.length;
      return allDone(events);
    };
    await consume(opened, handler, { chunkMax: 30, partitionsAtOnce: 3 });
    await eventually(() => running === 3);
    gate.resolve();
    await eventually(() => worked === 400);
    expect(largest).toBe(30);
    expect(together).toBe(3);
  });

  test("members share the partitions, and take over from one that leaves", async () => {
    const opened = await open({ partitions: 4 });
    const worked = { first: new Set<string>(), second: new Set<string>() };
    const all = () => new Set([...worked.first, ...worked.second]).size; // the group may hand a record over twice
    const first = await consume(opened, async (events) => {
      for (const { id } of events) worked.first.add(id);
      return allDone(events);
    });
    const other = { kafka: await opened.openDoor(), topic: opened.topic };
    await consume(other, async (events) => {
      for (const { id } of events) worked.second.add(id);
      return allDone(events);
    });
    await eventually(() => first.ready);
    const publishSome = () => opened.publish(Array.from({ length: 200 }, () => buildEvent()));
    await publishSome();
    await eventually(() => all() === 200);
    expect(worked.first.size).toBeGreaterThan(0);
    expect(worked.second.size).toBeGreaterThan(0);
    await first[Symbol.asyncDispose]();
    const before = worked.first.size;
    await publishSome();
    await eventually(() => all() === 400);
    expect(worked.first.size).toBe(before);
  });

  test("close finishes the running chunk and commits it; the rest is left for the next member", async () => {
    const opened = await open({ partitions: 1 });
    await opened.publish(Array.from({ length: 10 }, (_, at) => buildEvent({ text: `${at}` })));
    const first: string[] = [];
    const gate = Promise.withResolvers<void>();
    const consumer = await consume(
      opened,
      async (events, { signal }) => {
        first.push(...events.map(textOf));
        if (!signal.aborted) signal.addEventListener("abort", () => gate.resolve());
        await gate.promise;
        return allDone(events);
      },
      { chunkMax: 4 },
    );
    await eventually(() => first.length === 4);
    await consumer[Symbol.asyncDispose]();
    expect(consumer.ready).toBe(false);
    expect(await sumOfLag(opened)).toBe(6);
    const second: string[] = [];
    await consume(opened, async (events) => {
      second.push(...events.map(textOf));
      return allDone(events);
    });
    await eventually(() => second.length === 6);
    expect([...first, ...second]).toEqual(Array.from({ length: 10 }, (_, at) => `${at}`));
  });
});

describe("outcomes", () => {
  test("poison goes to the dead letter with its reason, its neighbours are worked", async () => {
    const opened = await open({ partitions: 1 });
    const worked: string[] = [];
    await consume(opened, async (events) => {
      if (events.some((event) => textOf(event) === "poison")) {
        throw new AppError("invalid_argument", "bad_row", "The row is bad.");
      }
      worked.push(...events.map(textOf));
      return allDone(events);
    });
    const poison = buildEvent({ text: "poison" });
    await opened.publish([buildEvent({ text: "a" }), poison, buildEvent({ text: "b" })]);
    await eventually(() => worked.length === 2);
    expect(worked).toEqual(["a", "b"]);
    await eventually(async () => (await sumOfLag(opened)) === 0);
    const buried = await readAll(opened.kafka, deadLettersOf(opened.topic));
    expect(buried.map(({ value }) => value?.id)).toEqual([poison.id]);
  });

  test("what cannot be decoded goes to the dead letter as it is", async () => {
    const opened = await open({ partitions: 1 });
    const worked: string[] = [];
    await consume(opened, async (events) => {
      worked.push(...events.map(({ id }) => id));
      return allDone(events);
    });
    const { name } = opened.topic;
    await opened.kafka.publishRaw([{ topic: name, key: "k", value: Buffer.from([0xff, 0xff, 1]) }]);
    const event = buildEvent();
    await opened.publish([event]);
    await eventually(() => worked.length === 1);
    expect(worked).toEqual([event.id]);
    await eventually(async () => (await sumOfLag(opened)) === 0);
    expect(opened.lines.some(({ msg }) => msg === "log.undecodable")).toBe(true);
  });

  test("each record has its own: done, dropped, dead, and again after a pause", async () => {
    const opened = await open({ partitions: 1 });
    const seen: string[] = [];
    let tries = 0;
    await consume(opened, async (events) =>
      events.map((event) => {
        const text = textOf(event);
        seen.push(text);
        if (text === "drop") return drop("not_ours");
        if (text === "dead") return dead("too_old");
        if (text === "retry" && ++tries < 3) return retry("locked");
        return done;
      }),
    );
    await opened.publish(["done", "drop", "dead", "retry"].map((text) => buildEvent({ text })));
    await eventually(async () => (await sumOfLag(opened)) === 0);
    expect(seen.filter((text) => text === "retry")).toHaveLength(3);
    expect(seen.filter((text) => text !== "retry")).toEqual(["done", "drop", "dead"]);
    const buried = await readAll(opened.kafka, deadLettersOf(opened.topic));
    expect(buried.map(({ value }) => value && textOf(value))).toEqual(["dead"]);
  });

  test("while the world is away a chunk waits, other partitions go on, nothing is buried", async () => {
    const opened = await open({ partitions: 2 });
    let away = true;
    const worked: string[] = [];
    await consume(
      opened,
      async (events) => {
        if (away && events.some((event) => textOf(event) === "blocked")) {
          throw new AppError("unavailable", "database_unavailable", "Not now.");
        }
        worked.push(...events.map(textOf));
        return allDone(events);
      },
      { partitionsAtOnce: 1 },
    );
    await opened.publish([buildEvent({ text: "blocked" })]);
    for (let at = 0; at < 40; at++) await opened.publish([buildEvent({ text: "free" })]);
    await eventually(() => worked.includes("free")); // those of the other partition
    expect(worked).not.toContain("blocked");
    away = false;
    await eventually(() => worked.length === 41);
    const buried = await readAll(opened.kafka, deadLettersOf(opened.topic));
    expect(buried).toEqual([]);
  });
});

describe("follow", () => {
  test("from the start it has everything once it caught up, tombstones too", async () => {
    const { kafka, topic, publish } = await open();
    const events = Array.from({ length: 50 }, () => buildEvent());
    await publish(events);
    await kafka.publishRaw([
      { topic: topic.name, key: "gone", value: null },
      { topic: topic.name, key: "odd", value: Buffer.from([0xff, 0xff, 1]) },
    ]);
    const seen = await readAll(kafka, topic);
    expect(seen.filter(({ value }) => value !== null)).toHaveLength(50);
    expect(seen.filter(({ value }) => value === null).map(({ key }) => key)).toEqual(["gone"]);
    expect(seen.every(({ key }) => key !== "odd")).toBe(true);
  });

  test("an empty topic is caught up with at once", async () => {
    const { kafka, topic } = await open();
    expect(await readAll(kafka, topic)).toEqual([]);
  });

  test("from now on it has what comes after, in order within a partition", async () => {
    const { kafka, topic, publish } = await open();
    await publish([buildEvent({ text: "before" })]);
    const seen: Followed<typeof EventSchema>[] = [];
    const follower = await kafka.follow(topic, { from: "now" }, (some) => seen.push(...some));
    onTestFinished(() => follower[Symbol.asyncDispose]());
    await follower.caughtUp;
    await eventually(() => follower.ready);
    await publish(Array.from({ length: 100 }, (_, at) => buildEvent({ text: `${at}` })));
    await eventually(() => seen.length === 100);
    expect(seen.some(({ value }) => value && textOf(value) === "before")).toBe(false);
    for (const [, list] of Map.groupBy(seen, ({ partition }) => partition)) {
      const offsets = list.map(({ offset }) => Number(offset));
      expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    }
  });
});

describe("follow from offsets", () => {
  test("it reads the named partitions from their offsets, and has all that was there once it caught up", async () => {
    const { kafka, topic, publish } = await open();
    await publish(Array.from({ length: 60 }, () => buildEvent()));
    const all = await readAll(kafka, topic);
    const [partition = 0, own = []] = Map.groupBy(all, (record) => record.partition)
      .entries()
      .next().value ?? [0, []];
    const from = Number(own[0]?.offset ?? 0n) + 1;
    const seen: Followed<typeof EventSchema>[] = [];
    const follower = await kafka.follow(topic, { from: new Map([[partition, from]]) }, (some) =>
      seen.push(...some),
    );
    onTestFinished(() => follower[Symbol.asyncDispose]());
    expect((await follower.began).get(partition)).toEqual({ earliest: 0, latest: own.length });
    await follower.caughtUp;
    expect(seen.map(({ offset }) => offset)).toEqual(own.slice(1).map(({ offset }) => offset));
    expect(seen.every((record) => record.partition === partition)).toBe(true);
  });
});

describe("traces", () => {
  test("one record continues the trace that wrote it; several have a root of their own with links", async () => {
    using recorder = recordSpans();
    const { spans } = recorder;
    const opened = await open({ partitions: 1 });
    const contexts: unknown[] = [];
    await consume(opened, async (events, { trace }) => {
      contexts.push(trace?.spanId);
      return allDone(events);
    });
    const named = (name: string) =>
      spans.filter((span) => span.name === `${name} ${opened.topic.name}`);
    await opened.publish([buildEvent()]);
    await eventually(() => named("commit").length > 0);
    const [send, poll, work, commit] = ["send", "poll", "process", "commit"].map(
      (n) => named(n)[0],
    );
    expect(work?.parent?.spanId).toBe(send?.context.spanId);
    expect(work?.context.traceId).toBe(send?.context.traceId);
    expect(work?.links.map(({ spanId }) => spanId)).toEqual([
      send?.context.spanId,
      poll?.context.spanId,
    ]);
    expect(poll?.parent).toBeUndefined();
    expect(commit?.parent?.spanId).toBe(poll?.context.spanId);
    expect([send, poll, work, commit].map((span) => span?.kind)).toEqual([
      "producer",
      "client",
      "consumer",
      "client",
    ]);
    expect(contexts).toEqual([work?.context.spanId]);

    await opened.publish([buildEvent(), buildEvent()]);
    await eventually(() => named("process").length === 2);
    const batch = named("process")[1];
    expect(batch?.parent).toBeUndefined();
    expect(batch?.links).toHaveLength(3); // two records of one send, and the poll
    expect(batch?.attributes["messaging.batch.message_count"]).toBe(2);
  });
});

describe("provisioning", () => {
  test("a second run changes nothing; a topic that differs is named with each fault", async () => {
    const { topic, brokers, log } = await open();
    await provisionTopics({ brokers, topics: [topic], groups: { work: [topic] }, log });
    const other = { ...topic, partitions: 5, retention: { ms: 1_000 } };
    const failure = await provisionTopics({ brokers, topics: [other], groups: {}, log }).then(
      () => undefined,
      AppError.from,
    );
    expect(failure?.reason).toBe("topics_differ");
    expect(failure?.message).toContain("has 3 partitions, not 5");
    expect(failure?.message).toContain("retention.ms=604800000, not 1000");
  });

  test("a topic without a bound of bytes gets the declared one, and one with its own keeps it", async () => {
    const { topic, brokers, log, lines } = await open();
    const provision = (bytes: number) =>
      provisionTopics({
        brokers,
        topics: [{ ...topic, retention: { ms: 604_800_000, bytes } }],
        groups: {},
        log,
      });
    const altered = () =>
      lines
        .filter(({ msg }) => msg === "log.topic_altered")
        .map(({ setting, value }) => [setting, value]);
    await provision(64 * 1024 * 1024);
    const first = [
      ["retention.bytes", String(64 * 1024 * 1024)],
      ["segment.bytes", String(16 * 1024 * 1024)],
    ];
    expect(altered()).toEqual(first);
    await provision(128 * 1024 * 1024);
    expect(altered()).toEqual(first);
  });
});

describe("when the broker is away", () => {
  test("the door opens all the same, says that it is not ready, and refuses in time", async () => {
    const { log } = createCollectedLog();
    const kafka = await openKafka({
      brokers: ["127.0.0.1:9"],
      clientId: "test",
      log,
      publishTimeoutMs: 500,
    });
    onTestFinished(() => kafka[Symbol.asyncDispose]());
    expect(kafka.ready).toBe(false);
    const publish = kafka.publisher(topics.chatRequested);
    const failure = await publish([buildEvent()]).then(() => undefined, AppError.from);
    expect(failure?.reason).toBe("log_unavailable");
  });

  test("killed and started again: all that was acknowledged is there once and in order, and the rest goes on", {
    timeout: 300_000,
  }, async () => {
    const broker = await startBroker();
    const opened = await open({ partitions: 4, brokers: [broker.address] });
    const worked = new Set<string>();
    const consumer = await consume(opened, async (events) => {
      for (const { id } of events) worked.add(id);
      return allDone(events);
    });
    const live: string[] = [];
    const follower = await opened.kafka.follow(opened.topic, { from: "now" }, (some) => {
      for (const { value } of some) if (value) live.push(value.id);
    });
    onTestFinished(() => follower[Symbol.asyncDispose]());
    await follower.caughtUp;

    const load = startLoad(opened, 16);
    await eventually(() => load.acked.length > 500);
    broker.kill();
    await eventually(() => !opened.kafka.ready);
    await broker.start();
    const ackedBefore = load.acked.length;
    await eventually(() => load.acked.length > ackedBefore + 100);
    await load.stop();

    const seen = await readAll(opened.kafka, opened.topic);
    const ids = seen.map(({ value }) => value?.id ?? "");
    const present = new Set(ids);
    expect(ids).toHaveLength(present.size); // none twice
    expect(load.acked.filter((id) => !present.has(id))).toEqual([]);
    for (const [, list] of Map.groupBy(seen, ({ key }) => key)) {
      const numbers = list.map(({ value }) => Number(value && textOf(value)));
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
    await eventually(() => ids.every((id) => worked.has(id)), { timeoutMs: 60_000 });
    await eventually(() => consumer.ready && follower.ready && opened.kafka.ready);
    await eventually(() => live.length >= present.size);
    expect(live).toHaveLength(present.size);
    await eventually(async () => (await sumOfLag(opened)) === 0);
  });

  test("frozen: callers are refused at their deadline, and it goes on by itself afterwards", {
    timeout: 180_000,
  }, async () => {
    const broker = await startBroker();
    const { topic, log } = await open({ brokers: [broker.address] });
    const kafka = await openKafka({
      brokers: [broker.address],
      clientId: "test",
      log,
      publishTimeoutMs: 3_000,
    });
    onTestFinished(() => kafka[Symbol.asyncDispose]());
    const publish = kafka.publisher(topic);
    await eventually(() => publish([buildEvent()]));
    const live: string[] = [];
    const follower: Follower = await kafka.follow(topic, { from: "now" }, (some) => {
      for (const { value } of some) if (value) live.push(value.id);
    });
    onTestFinished(() => follower[Symbol.asyncDispose]());
    await follower.caughtUp;
    await broker.freeze();
    const failure = await publish([buildEvent()]).then(() => undefined, AppError.from);
    expect(failure?.reason).toBe("log_unsure"); // nothing else ends it: the broker stays frozen
    broker.thaw();
    const event = buildEvent();
    await eventually(() => publish([event]));
    await eventually(() => live.includes(event.id));
  });
});

/** Callers that publish one event after the other, each with numbers in a channel of its own; stops when told. */
function startLoad({ publish }: Pick<Opened, "publish">, callerCount: number) {
  const acked: string[] = [];
  let stopped = false;
  const callers = Array.from({ length: callerCount }, async () => {
    const channelId = randomUUID();
    for (let number = 0; !stopped; number++) {
      const event = buildEvent({ channelId, text: `${number}` });
      try {
        await publish([event]);
        acked.push(event.id);
      } catch {
        await sleep(20); // one that is refused at once must not keep everything else from running
      }
    }
  });
  const stop = async () => {
    stopped = true;
    await Promise.all(callers);
  };
  onTestFinished(stop);
  return { acked, stop };
}
