/** For tests: chat.posted.v1 in memory, followed as Kafka's would be. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Change, MessagePostedSchema, type MessageSchema } from "@headgate/proto/chat/v1/chat";
import type { FollowPosted } from "../live/feed.ts";
import type { PostedRecord } from "../live/ring.ts";

/** The topic, and what a test may do to it. */
export type FakePostedLog = ReturnType<typeof createFakePostedLog>;

/** An empty topic. */
export function createFakePostedLog({ partitions = 2 }: { partitions?: number } = {}) {
  const records: PostedRecord[][] = Array.from({ length: partitions }, () => []);
  const earliest = Array.from({ length: partitions }, () => 0);
  const tails = new Set<(records: readonly PostedRecord[]) => void>();
  /** How often a stretch was read again. */
  let rereadings = 0;

  return {
    /** New records are read. */
    get isFollowed() {
      return tails.size > 0;
    },
    get rereadings() {
      return rereadings;
    },
    follow,
    /** Announces a message; the partition goes by its channel. */
    announce(
      message: MessageInitShape<typeof MessageSchema>,
      change: Change = Change.CREATED,
    ): PostedRecord {
      const posted = create(MessagePostedSchema, { message, change });
      const value = fromBinary(EmptySchema, toBinary(MessagePostedSchema, posted));
      const key = [...(message.channelId ?? "")].reduce((sum, char) => sum + char.charCodeAt(0), 0);
      return append({ value, partition: key % partitions });
    },
    append,
    /** Retention: the first records of each partition are deleted. */
    deleteBefore(count: number): void {
      for (const [partition] of records.entries()) earliest[partition] = count;
    },
  };

  function append({ value, partition }: Pick<PostedRecord, "value" | "partition">): PostedRecord {
    const list = records[partition] ?? [];
    const record = { value, partition, offset: BigInt(list.length) };
    list.push(record);
    for (const take of tails) take([record]);
    return record;
  }

  async function follow(...[from, take]: Parameters<FollowPosted>): ReturnType<FollowPosted> {
    const edges = records.map((list, partition) => {
      return [partition, { earliest: earliest[partition] ?? 0, latest: list.length }] as const;
    });
    let caughtUp = Promise.resolve();
    if (from === "now") tails.add(take);
    else {
      rereadings += 1;
      caughtUp = Promise.resolve().then(() => {
        for (const [partition, first] of from) {
          take((records[partition] ?? []).slice(Math.max(first, earliest[partition] ?? 0)));
        }
      });
    }
    return {
      began: Promise.resolve(new Map(edges)),
      caughtUp,
      ready: true,
      async [Symbol.asyncDispose]() {
        tails.delete(take);
      },
    };
  }
}
