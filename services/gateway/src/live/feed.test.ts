import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { Change, type Message, MessageSchema } from "@headgate/proto/chat/v1/chat";
import { describe, expect, test, vi } from "vitest";
import { createFakePostedLog } from "../testing/fake-posted-log.ts";
import { createFeed, type FeedReader } from "./feed.ts";
import { type Cursor, parseCursor } from "./position.ts";

const none = async () => [];

/** A feed over a topic; held and live unless `isHeld` is false. */
async function open({
  log = createFakePostedLog(),
  isHeld = true,
  ...options
}: Partial<Parameters<typeof createFeed>[0]> & {
  log?: ReturnType<typeof createFakePostedLog>;
  isHeld?: boolean;
} = {}) {
  const bounds = { countMax: 100, bytesMax: 1024 * 1024 };
  const feed = createFeed({ follow: log.follow, getMessages: none, ...bounds, ...options });
  const hold = isHeld ? feed.hold() : undefined;
  await hold?.live;
  return { feed, log, hold };
}

/** Announces messages of two channels, in turn; returns their ids. */
function announce(
  log: ReturnType<typeof createFakePostedLog>,
  count: number,
  text = "x",
): string[] {
  return Array.from({ length: count }, (_, at) => {
    const id = createId();
    log.announce({ id, channelId: at % 2 === 0 ? "a" : "b", content: { text } });
    return id;
  });
}

function readAll(reader: FeedReader | undefined): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  for (let next = reader?.next(); next; next = reader?.next()) {
    seen.push(next === "missed" ? next : next.message.id);
  }
  return seen;
}

function cursorOf(reader: FeedReader): Cursor {
  const cursor = parseCursor(reader.cursor());
  if (!cursor) throw new Error("the reader wrote no cursor");
  return cursor;
}

describe("waits", () => {
  test("a wait ends with the messages in the order asked, whenever they were announced", async () => {
    const { feed, log } = await open();
    const [a, b] = [createId(), createId()];
    log.announce({ id: a, position: 1n });
    const wait = feed.awaitReadable([b, a], 1000);
    log.announce({ id: b, position: 2n });
    expect((await wait)?.map(({ id, position }) => [id, position])).toEqual([
      [b, 2n],
      [a, 1n],
    ]);
  });

  test("a wait runs out with undefined, also when chat does not answer", async () => {
    const away = new AppError("unavailable", "away", "Away.");
    const { feed } = await open({ getMessages: () => Promise.reject(away) });
    expect(await feed.awaitReadable([createId()], 20)).toBeUndefined();
  });

  test("a wait asks chat itself when the reading of announcements is behind", async () => {
    const message: Message = create(MessageSchema, { id: createId() });
    const { feed } = await open({ getMessages: async () => [message] });
    expect(await feed.awaitReadable([message.id], 50)).toEqual([message]);
  });

  test("a wait for which reading begins asks chat once it is live", async () => {
    const message: Message = create(MessageSchema, { id: createId() });
    const { feed } = await open({ getMessages: async () => [message], isHeld: false });
    expect(await feed.awaitReadable([message.id], 60_000)).toEqual([message]);
  });
});

describe("readers", () => {
  test("an announcement that comes again is shown once; an edit is shown", async () => {
    const { feed, log } = await open();
    const reader = feed.read();
    const id = createId();
    log.announce({ id });
    log.announce({ id });
    log.announce({ id, editedAt: { seconds: 5n } }, Change.EDITED);
    log.announce({ id, editedAt: { seconds: 5n } }, Change.EDITED);
    log.announce({ id });
    const changes: Change[] = [];
    for (let next = reader.next(); next && next !== "missed"; next = reader.next()) {
      changes.push(next.change);
    }
    expect(changes).toEqual([Change.CREATED, Change.EDITED]);
  });

  test("what holds no message is passed over", async () => {
    const { feed, log } = await open();
    const reader = feed.read();
    log.append({ value: null, partition: 0 });
    log.append({ value: create(EmptySchema), partition: 1 });
    expect(reader.next()).toBeUndefined();
    expect(cursorOf(reader).position).toEqual([1, 1]);
  });

  test("a reader that is slower than the memory lasts is told once, and goes on with what is new", async () => {
    const { feed, log } = await open({ countMax: 3 });
    const reader = feed.read();
    announce(log, 5);
    expect(reader.next()).toBe("missed");
    expect(reader.next()).toBeUndefined();
    const ids = announce(log, 2);
    expect(readAll(reader)).toEqual(ids);
  });

  test("what is kept is bounded in bytes", async () => {
    const { feed, log } = await open({ bytesMax: 100_000 });
    const reader = feed.read();
    const start = cursorOf(reader);
    announce(log, 20, "x".repeat(20_000));
    expect(reader.next()).toBe("missed");
    expect(await feed.resume(start)).toBeUndefined();
    const { position, at } = cursorOf(reader);
    const last = position.map((offset) => offset - 1);
    expect(readAll(await feed.resume({ position: last, at }))).toHaveLength(2);
  });
});

describe("resuming", () => {
  test("a reader goes on behind its cursor, from memory", async () => {
    const { feed, log } = await open();
    const reader = feed.read();
    const ids = announce(log, 5);
    reader.next();
    reader.next();
    const resumed = await feed.resume(cursorOf(reader));
    expect(readAll(resumed)).toEqual(ids.slice(2));
    expect(log.rereadings).toBe(0);
    const more = announce(log, 2);
    expect(readAll(resumed)).toEqual(more);
  });

  test("without readers in between, the topic is read again", async () => {
    const { feed, log, hold } = await open({ idleMs: 0 });
    const reader = feed.read();
    const before = announce(log, 3);
    expect(readAll(reader)).toEqual(before);
    const cursor = cursorOf(reader);
    hold?.release();
    await vi.waitFor(() => expect(log.isFollowed).toBe(false));
    const ids = announce(log, 6);
    const again = feed.hold();
    await again.live;
    expect(readAll(await feed.resume(cursor)).sort()).toEqual(ids.sort());
  });

  test("another gateway, or the same after a restart, goes on behind the same cursor", async () => {
    const first = await open();
    const reader = first.feed.read();
    announce(first.log, 3);
    const [seen] = readAll(reader);
    expect(seen).toBeDefined();
    const cursor = cursorOf(reader);
    const ids = announce(first.log, 6);
    const second = await open({ log: first.log });
    const resumed = await second.feed.resume(cursor);
    expect(readAll(resumed).sort()).toEqual(ids.sort());
    const more = announce(first.log, 1);
    expect(readAll(resumed)).toEqual(more);
  });

  test("many readers that come back at once have the topic read again once", async () => {
    const first = await open();
    const cursor = cursorOf(first.feed.read());
    announce(first.log, 20);
    const second = await open({ log: first.log });
    const readers = await Promise.all(Array.from({ length: 50 }, () => second.feed.resume(cursor)));
    expect(readers.map((reader) => readAll(reader).length)).toEqual(readers.map(() => 20));
    expect(first.log.rereadings).toBe(1);
  });

  test("the order of a channel is kept across what is read again and what is new", async () => {
    const first = await open();
    const cursor = cursorOf(first.feed.read());
    const ids = Array.from({ length: 10 }, () => createId());
    for (const id of ids.slice(0, 5)) first.log.announce({ id, channelId: "a" });
    const second = await open({ log: first.log });
    for (const id of ids.slice(5)) first.log.announce({ id, channelId: "a" });
    expect(readAll(await second.feed.resume(cursor))).toEqual(ids);
  });

  test("an announcement repeated on both sides of the restart is shown once", async () => {
    const first = await open();
    const cursor = cursorOf(first.feed.read());
    const id = createId();
    first.log.announce({ id, channelId: "a" });
    const second = await open({ log: first.log });
    first.log.announce({ id, channelId: "a" });
    expect(readAll(await second.feed.resume(cursor))).toEqual([id]);
  });

  test("more than the memory holds, or what retention has deleted, is not resumed", async () => {
    const log = createFakePostedLog();
    const first = await open({ log });
    const cursor = cursorOf(first.feed.read());
    announce(log, 8);
    expect(await (await open({ log, countMax: 7 })).feed.resume(cursor)).toBeUndefined();
    expect(await (await open({ log, bytesMax: 10 })).feed.resume(cursor)).toBeUndefined();
    expect(log.rereadings).toBe(1); // only what could fit was read
    expect(readAll(await (await open({ log, countMax: 8 })).feed.resume(cursor))).toHaveLength(8);
    log.deleteBefore(1);
    expect(await (await open({ log })).feed.resume(cursor)).toBeUndefined();
  });

  test("a cursor that is ahead waits until this gateway has read as far", async () => {
    const { feed, log } = await open();
    const at = new Date();
    const resuming = feed.resume({ position: [1, 1], at });
    announce(log, 2);
    const reader = await resuming;
    const ids = announce(log, 2);
    expect(readAll(reader)).toEqual(ids);
  });

  test("a cursor of another topic is not resumed", async () => {
    const { feed } = await open();
    expect(await feed.resume({ position: [0, 0, 1], at: new Date() })).toBeUndefined();
    vi.useFakeTimers();
    try {
      const resuming = feed.resume({ position: [7, 0], at: new Date() });
      await vi.advanceTimersByTimeAsync(2_000);
      expect(await resuming).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  test("a broker that does not answer is said to be away, and the next try is a new one", async () => {
    const log = createFakePostedLog();
    const first = await open({ log });
    const cursor = cursorOf(first.feed.read());
    announce(log, 2);
    let isAway = true;
    const { feed } = await open({
      log,
      follow: async (from, take) => {
        const follower = await log.follow(from, from !== "now" && isAway ? () => {} : take);
        return from === "now" ? follower : { ...follower, caughtUp: new Promise(() => {}) };
      },
    });
    vi.useFakeTimers();
    try {
      const resuming = feed.resume(cursor).catch((thrown) => AppError.from(thrown).reason);
      await vi.advanceTimersByTimeAsync(5_000);
      expect(await resuming).toBe("log_unavailable");
    } finally {
      vi.useRealTimers();
    }
    isAway = false;
    expect(readAll(await feed.resume(cursor))).toHaveLength(2);
  });
});
