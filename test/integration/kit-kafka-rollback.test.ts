import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { done, openKafka, provisionTopics } from "@headgate/kit/kafka";
import type { Event } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { startBroker } from "../support/kafka-broker.ts";

const topic = { ...topics.chatRequested, name: "rollback.test", partitions: 1 };
const groups = { work: [topic] };
const build = (count: number) => Array.from({ length: count }, () => buildEvent());
const idsOf = (events: readonly Event[]) => events.map(({ id }) => id);
const hasAll = (ids: Iterable<string>, wanted: readonly Event[]) => {
  const known = new Set(ids);
  return wanted.every(({ id }) => known.has(id));
};

/** A broker with a copy of the topic's records that is 300 records old, and a way to put it in their place. */
async function openOldCopy() {
  const broker = await startBroker();
  const { log, lines } = createCollectedLog();
  const brokers = [broker.address];
  await provisionTopics({ brokers, topics: [topic], groups, log });
  const kafka = await openKafka({ brokers, clientId: "test", publishTimeoutMs: 60_000, log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  const publish = kafka.publisher(topic);
  const worked: string[] = [];
  const consume = async () => {
    const consumer = await kafka.consume(topic, "work", async (events) => {
      worked.push(...idsOf(events));
      return events.map(() => done);
    });
    onTestFinished(() => consumer[Symbol.asyncDispose]());
    return consumer;
  };
  const isCommitted = async () =>
    (await kafka.lag(groups)).reduce((sum, { lag }) => sum + lag, 0) === 0;
  const folder = broker.folderOf(topic.name, 0);
  const copy = join(folder, "../../copy");

  const first = await consume();
  await publish(build(200));
  await eventually(isCommitted, { timeoutMs: 120_000 });
  await broker.stop();
  await cp(folder, copy, { recursive: true });
  await broker.start();
  const later = build(300);
  await publish(later);
  await eventually(() => hasAll(worked, later), { timeoutMs: 120_000 });
  await eventually(isCommitted, { timeoutMs: 120_000 });

  return {
    first,
    kafka,
    publish,
    consume,
    worked,
    lines,
    async rollBack() {
      await broker.stop();
      await rm(folder, { recursive: true });
      await cp(copy, folder, { recursive: true });
      await rm(copy, { recursive: true });
      await broker.start();
    },
  };
}

test("after a log was rolled back, a consumer and a reader from now on see every record written after", {
  timeout: 600_000,
}, async () => {
  const { kafka, publish, worked, rollBack, lines } = await openOldCopy();
  const live: string[] = [];
  const follower = await kafka.follow(topic, { from: "now" }, (records) => {
    for (const { value } of records) if (value) live.push(value.id);
  });
  onTestFinished(() => follower[Symbol.asyncDispose]());
  await follower.caughtUp;
  let copy = new Set<string>();
  let restarts = 0;
  const onRestart = () => {
    copy = new Set();
    restarts++;
  };
  const copier = await kafka.follow(topic, { from: "start", onRestart }, (records) => {
    for (const { value } of records) if (value) copy.add(value.id);
  });
  onTestFinished(() => copier[Symbol.asyncDispose]());
  await copier.caughtUp;
  const seen = build(50);
  await publish(seen);
  await eventually(() => hasAll(live, seen) && hasAll(worked, seen), { timeoutMs: 120_000 });
  await rollBack();
  const after = build(100); // fewer than were lost: the position is beyond the end
  await publish(after);
  await eventually(() => hasAll(worked, after), { timeoutMs: 120_000 });
  await eventually(() => hasAll(live, after), { timeoutMs: 120_000 });
  expect(lines.filter(({ msg }) => msg === "log.position_lost")).toContainEqual(
    expect.objectContaining({ from: 550, to: 200 }),
  );
  expect(worked).toHaveLength(650); // nothing that was done came again
  await eventually(() => copy.size === 300, { timeoutMs: 120_000 });
  expect(hasAll(copy, after)).toBe(true);
  expect(restarts).toBe(1);
});

test("a log that was rolled back and has grown past the committed offset since is read from where it was rolled back to", {
  timeout: 600_000,
}, async () => {
  const { first, publish, consume, worked, rollBack } = await openOldCopy();
  await first[Symbol.asyncDispose]();
  await rollBack();
  const after = build(700); // more than were lost: no fetch fails
  await publish(after);
  await consume();
  await eventually(() => hasAll(worked, after), { timeoutMs: 120_000 });
});

test("a copy begins again at the first record when the broker did not answer for longer than it may", {
  timeout: 600_000,
}, async () => {
  const broker = await startBroker();
  const { log } = createCollectedLog();
  const brokers = [broker.address];
  await provisionTopics({ brokers, topics: [topic], groups: {}, log });
  const kafka = await openKafka({ brokers, clientId: "test", log });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  const events = build(3);
  await kafka.publisher(topic)(events);
  const seen: string[] = [];
  const restarted = Promise.withResolvers<void>();
  const onRestart = (caughtUp: Promise<void>) => {
    seen.length = 0;
    void caughtUp.then(restarted.resolve);
  };
  const follower = await kafka.follow(
    topic,
    { from: "start", onRestart, restartAfterMs: 5_000 },
    (records) => {
      for (const { value } of records) if (value) seen.push(value.id);
    },
  );
  onTestFinished(() => follower[Symbol.asyncDispose]());
  await follower.caughtUp;
  await eventually(() => follower.ready);
  await broker.freeze();
  const frozenAt = performance.now();
  await eventually(() => performance.now() - frozenAt > 6_000);
  broker.thaw();
  await restarted.promise;
  expect(seen).toEqual(idsOf(events));
});
