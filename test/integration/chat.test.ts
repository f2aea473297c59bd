import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { createChatConsumer } from "@headgate/chat/consumer";
import { createChatRpc } from "@headgate/chat/grpc";
import { createMetrics } from "@headgate/chat/metrics";
import { createChatService } from "@headgate/chat/service";
import { createChatStore } from "@headgate/chat/store";
import { buildMessage } from "@headgate/chat/testing/builders";
import { storeSuite } from "@headgate/chat/testing/store-suite";
import { AppError } from "@headgate/kit/errors";
import { openClient, serveRpc } from "@headgate/kit/grpc";
import { createId } from "@headgate/kit/ids";
import { type Kafka, openKafka, provisionTopics } from "@headgate/kit/kafka";
import { migrate, openPostgres, type Postgres } from "@headgate/kit/postgres";
import { Change, ChatService, type MessagePosted } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import { topics } from "@headgate/proto/topics";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { createIssuer } from "../support/identity.ts";
import { freshDatabase, useParts } from "../support/parts.ts";

const { log } = createCollectedLog();
const folder = new URL("../../services/chat/migrations", import.meta.url).pathname;
let db: Postgres;
let kafka: Kafka;

beforeAll(async () => {
  const parts = await useParts();
  const url = await freshDatabase(parts.databaseUrl, "chat_integration");
  await migrate({ url, schema: "chat", folder, log });
  db = await openPostgres({ url, statementTimeoutMs: 30_000, log });
  await eventually(() => db.query("select 1")); // a busy server may be slow to take the first connection
  kafka = await openKafka({ brokers: parts.kafkaBrokers, clientId: "chat-test", log });
  return async () => {
    await kafka[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  };
});

describe("the store in Postgres", () => {
  storeSuite(() => createChatStore(db));

  test("a page ends early when its messages are heavy, and the walk goes on behind it", async () => {
    const store = createChatStore(db);
    const channelId = createId();
    const heavy = () => buildMessage({ channelId, content: { text: "x".repeat(3_000_000) } });
    const drafts = [heavy(), heavy(), heavy()];
    await store.insertMessages(drafts);
    const bound = (value: bigint) => ({ case: "after", value }) as const;
    const first = await store.listMessages({ channelId, limit: 50, bound: bound(0n) });
    const second = await store.listMessages({ channelId, limit: 50, bound: bound(2n) });
    expect([first, second].map((page) => page.map(({ id }) => id))).toEqual([
      drafts.slice(0, 2).map(({ id }) => id),
      drafts.slice(2).map(({ id }) => id),
    ]);
  });

  test("who walks by after while others write misses none and meets none twice", async () => {
    const store = createChatStore(db);
    const channelId = createId();
    const batches = Array.from({ length: 40 }, () =>
      Array.from({ length: 25 }, () => buildMessage({ channelId })),
    );
    let isWriting = true;
    const writers = Promise.all(
      [0, 1, 2, 3].map(async (lane) => {
        for (let at = lane; at < batches.length; at += 4) {
          await store.insertMessages(batches[at] ?? []);
        }
      }),
    ).finally(() => {
      isWriting = false;
    });
    const seen: string[] = [];
    for (let after = 0n, mayGrow = true; mayGrow; ) {
      mayGrow = isWriting;
      const bound = { case: "after", value: after } as const;
      const page = await store.listMessages({ channelId, limit: 100, bound });
      seen.push(...page.map(({ id }) => id));
      after = page.at(-1)?.position ?? after;
      mayGrow ||= page.length > 0;
    }
    await writers;
    expect(seen).toHaveLength(1000);
    expect(new Set(seen)).toEqual(new Set(batches.flat().map(({ id }) => id)));
  });

  test("batches that share channels in different orders do not wait for each other in a circle", async () => {
    const store = createChatStore(db);
    const channels = Array.from({ length: 10 }, () => createId());
    const batch = (order: string[]) => order.map((channelId) => buildMessage({ channelId }));
    const lanes = Array.from({ length: 6 }, async (_, lane) => {
      const order = lane % 2 === 0 ? channels : channels.toReversed();
      for (let turn = 0; turn < 10; turn++) {
        expect((await store.insertMessages(batch(order))).size).toBe(10);
      }
    });
    await Promise.all(lanes);
  });

  test("batches look ids up one by one, also by a plan that was made while the table was empty", async () => {
    const { databaseUrl } = await useParts();
    const url = await freshDatabase(databaseUrl, "chat_plan");
    await migrate({ url, schema: "chat", folder, log });
    await using empty = await openPostgres({ url, log });
    const [scans] = await empty.transaction(async (tx) => {
      const store = createChatStore(tx);
      const channelId = createId();
      for (let batch = 0; batch < 20; batch++) {
        await store.insertMessages(Array.from({ length: 50 }, () => buildMessage({ channelId })));
      }
      return tx.query<{ seq_scan: string }>(
        "select seq_scan from pg_stat_xact_user_tables where relname = 'messages'",
      );
    });
    expect(scans).toEqual({ seq_scan: "0" });
  });

  test("two that write one id at the same moment store it once", async () => {
    const store = createChatStore(db);
    const message = buildMessage({ channelId: createId() });
    const given = await Promise.all(
      Array.from({ length: 8 }, () => store.insertMessages([message])),
    );
    expect(given.filter(({ size }) => size === 1)).toHaveLength(1);
  });

  test("what the database cannot keep is refused as data", async () => {
    const store = createChatStore(db);
    const poison = buildMessage({ channelId: createId(), content: { text: "a\0b" } });
    await expect(store.insertMessages([poison])).rejects.toMatchObject({
      reason: "database_rejected",
    });
  });
});

describe("from the log to the log", () => {
  test("posts once, in the order of the log, and announces in that order", async () => {
    const world = await openWorld();
    const [one, other] = [createId(), createId()];
    const events = Array.from({ length: 120 }, (_, at) =>
      buildEvent({ channelId: at % 3 ? one : other }),
    );
    for (let at = 0; at < events.length; at += 10) await world.publish(events.slice(at, at + 10));
    await world.start();
    const announced = await world.announced(events.length);
    for (const channelId of [one, other]) {
      const ids = events.filter((event) => channelOf(event) === channelId).map(({ id }) => id);
      const listed = await world.chat.listMessages({
        channelId,
        limit: 200,
        bound: { case: "after", value: 0n },
      });
      expect(listed.map(({ id }) => id)).toEqual(ids);
      expect(
        announced
          .filter(({ message }) => message?.channelId === channelId)
          .map(({ message }) => message),
      ).toEqual(listed);
    }
    expect(announced.every(({ change }) => change === Change.CREATED)).toBe(true);
  });

  test("an event delivered twice is one message, announced again as it was stored", async () => {
    const world = await openWorld();
    const channelId = createId();
    const first = buildEvent({ channelId, text: "first" });
    await world.publish([first, buildEvent({ channelId, id: first.id, text: "same batch" })]);
    await world.start();
    await world.announced(1);
    await world.publish([buildEvent({ channelId, id: first.id, text: "later" })]);
    const announced = await world.announced(2);
    expect(announced.map(({ message }) => message)).toMatchObject([
      { id: first.id, position: 1n, content: { text: "first" } },
      { id: first.id, position: 1n, content: { text: "first" } },
    ]);
    expect(await world.chat.listMessages({ channelId, limit: 10 })).toHaveLength(1);
  });

  test("a consumer that starts over stores nothing twice", async () => {
    const world = await openWorld();
    const channelId = createId();
    const events = Array.from({ length: 30 }, () => buildEvent({ channelId }));
    await world.publish(events);
    await world.start("first");
    await world.announced(30);
    await world.start("second");
    const announced = await world.announced(60);
    expect(announced.slice(30).map(({ message }) => message)).toEqual(
      announced.slice(0, 30).map(({ message }) => message),
    );
    expect(await world.chat.listMessages({ channelId, limit: 200 })).toHaveLength(30);
  });

  test("poison goes to the dead letters, and its neighbours in the batch are stored in order", async () => {
    const world = await openWorld();
    const channelId = createId();
    const good = Array.from({ length: 5 }, () => buildEvent({ channelId }));
    await world.publish(good.slice(0, 2));
    await world.publish([buildEvent({ channelId, text: "a\0b" })]);
    await world.publish(good.slice(2, 4));
    await world.publishBytes(channelId, UNDECODABLE);
    await world.publish([buildEvent({ channelId, id: "nonsense" }), ...good.slice(4)]);
    await world.start();
    await world.announced(5);
    expect(await world.dead(3)).toEqual([channelId, channelId, channelId]);
    const listed = await world.chat.listMessages({
      channelId,
      limit: 10,
      bound: { case: "after", value: 0n },
    });
    expect(listed.map(({ id }) => id)).toEqual(good.map(({ id }) => id));
  });
});

test("the largest event that is accepted does not stop its partition: what is behind it becomes readable", async () => {
  const world = await openWorld();
  const channelId = createId();
  const { largest, refused } = await publishLargest(world.publish, channelId);
  const small = buildEvent({ channelId });
  await world.publish([small]);
  await world.start();
  await eventually(async () => {
    const listed = await world.chat.getMessages([largest.id, small.id]);
    expect(new Set(listed.map(({ id }) => id))).toEqual(new Set([largest.id, small.id]));
  });
  await eventually(async () => {
    expect((await world.announced(1)).map(({ message }) => message?.id)).toContain(small.id);
  });
  expect(refused).toBe("record_too_large");
});

test("reads over rpc: pages, ids, replies; and says what is wrong with a question", async () => {
  const chat = createChatService({ store: createChatStore(db) });
  const gateway = createIssuer();
  const server = await serveRpc({
    host: "127.0.0.1",
    port: 0,
    services: [createChatRpc(chat)],
    access: gateway.accessOf("chat"),
    log,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const client = openClient(ChatService, {
    address: `127.0.0.1:${server.port}`,
    audience: "chat",
    access: gateway.access,
    deadlineMs: 30_000,
  });
  onTestFinished(() => client[Symbol.asyncDispose]());
  const channelId = createId();
  const root = buildEvent({ channelId });
  const reply = buildEvent({ channelId, rootId: root.id });
  await chat.post([root, reply]);
  const newest = await client.listMessages({ channelId, limit: 1 });
  expect(newest.messages.map(({ id }) => id)).toEqual([reply.id]);
  const older = await client.listMessages({
    channelId,
    limit: 9,
    bound: { case: "before", value: 2n },
  });
  expect(older.messages.map(({ id }) => id)).toEqual([root.id]);
  const forward = await client.listMessages({
    channelId,
    limit: 9,
    bound: { case: "after", value: 0n },
  });
  expect(forward.messages.map(({ position }) => position)).toEqual([1n, 2n]);
  const replies = await client.listReplies({ rootId: root.id, limit: 9 });
  expect(replies.messages).toMatchObject([{ id: reply.id, rootId: root.id }]);
  expect((await client.getMessages({ ids: [root.id, createId()] })).messages).toHaveLength(1);
  await expect(client.listMessages({ channelId, limit: 0 })).rejects.toMatchObject({
    code: "invalid_argument",
    reason: "request_invalid",
  });
});

/** Bytes that are no event: its second field is a time that is cut off. Any message without that field reads them. */
const UNDECODABLE = Uint8Array.of(0x12, 0x01, 0xff);

/** Topics of its own, and chat between them once started. */
async function openWorld(storage: Postgres = db) {
  const { kafkaBrokers } = await useParts();
  const suffix = createId();
  const requested = { ...topics.chatRequested, name: `${topics.chatRequested.name}.${suffix}` };
  const posted = {
    ...topics.chatPosted,
    name: `${topics.chatPosted.name}.${suffix}`,
    partitions: 1,
  };
  const groups = { [`first-${suffix}`]: [requested], [`second-${suffix}`]: [requested] };
  await provisionTopics({ brokers: kafkaBrokers, topics: [requested, posted], groups, log });
  const chat = createChatService({ store: createChatStore(storage) });
  const handler = createChatConsumer({
    chat,
    announce: kafka.publisher(posted),
    metrics: createMetrics(),
  });
  const values: MessagePosted[] = [];
  const buried: string[] = [];
  const graves = {
    ...requested,
    name: `${requested.name}.first-${suffix}.dead`,
    schema: EmptySchema,
    keyOf: () => "",
  };
  const followers = [
    await kafka.follow(posted, { from: "start" }, (records) => {
      for (const { value } of records) if (value) values.push(value);
    }),
    await kafka.follow(graves, { from: "start" }, (records) => {
      for (const { key } of records) buried.push(key);
    }),
  ];
  onTestFinished(async () => {
    for (const follower of followers) await follower[Symbol.asyncDispose]();
  });

  return {
    chat,
    publish: kafka.publisher(requested),
    publishBytes: (key: string, value: Uint8Array) =>
      kafka.publishRaw([{ topic: requested.name, key, value }]),
    async start(group = "first") {
      const consumer = await kafka.consume(requested, `${group}-${suffix}`, handler);
      onTestFinished(() => consumer[Symbol.asyncDispose]());
    },
    announced: (count: number) => atLeast(values, count),
    dead: (count: number) => atLeast(buried, count),
  };

  function atLeast<T>(list: readonly T[], count: number): Promise<readonly T[]> {
    return eventually(() => {
      expect(list.length).toBeGreaterThanOrEqual(count);
      return [...list];
    });
  }
}

test("a batch that the database cannot store within its statement timeout is stored in parts", async () => {
  const { databaseUrl } = await useParts();
  const url = await freshDatabase(databaseUrl, "chat_slow");
  await migrate({ url, schema: "chat", folder, log });
  await using slow = await openPostgres({ url, statementTimeoutMs: 500, log });
  await eventually(() =>
    slow.query(
      "create function chat.wait() returns trigger language plpgsql as $$ begin perform pg_sleep(0.004); return new; end $$",
    ),
  );
  await slow.query(
    "create trigger wait before insert on chat.messages for each row execute function chat.wait()",
  );
  const world = await openWorld(slow);
  const channelId = createId();
  const events = Array.from({ length: 500 }, () => buildEvent({ channelId }));
  await world.publish(events);
  await world.start();
  const announced = await world.announced(500);
  expect(announced.map(({ message }) => message?.id)).toEqual(events.map(({ id }) => id));
});

/** Publishes the event with the longest text that is not refused for its size, found by halving. */
async function publishLargest(publish: (events: Event[]) => Promise<void>, channelId: string) {
  let largest = buildEvent({ channelId });
  let refused = "";
  for (let fits = 0, over = 4 * 1024 * 1024; over - fits > 1; ) {
    const middle = (fits + over) >> 1;
    const event = buildEvent({ channelId, text: "x".repeat(middle) });
    try {
      await publish([event]);
      largest = event;
      fits = middle;
    } catch (thrown) {
      refused = AppError.from(thrown).reason;
      over = middle;
    }
  }
  return { largest, refused };
}

function channelOf(event: Event): string {
  return event.action.case === "chatMessage" ? event.action.value.channelId : "";
}
