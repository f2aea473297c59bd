/**
 * Every topic of the platform: its name, the message its values hold, what its keys are, and how the broker keeps it.
 * Nothing else names a topic. Names are `<owner>.<what-happened>.v<n>`; dead letters are `<topic>.<group>.dead`.
 */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { MessagePostedSchema } from "./gen/headgate/chat/v1/chat_pb.ts";
import { EventSchema } from "./gen/headgate/event/v1/event_pb.ts";
import { RegistryChangedSchema } from "./gen/headgate/registry/v1/registry_pb.ts";

/** A declared topic. `keyOf` gives the record key: records of one key stay in order. */
export type Topic<Desc extends DescMessage> = {
  readonly name: string;
  readonly schema: Desc;
  readonly keyOf: (value: MessageShape<Desc>) => string;
  /** What one record is called in the CloudEvents `ce_type` header. */
  readonly eventType: string;
  /** Fixed at creation; growing a keyed topic would reorder its keys. */
  readonly partitions: number;
  /**
   * How long the broker keeps records, in ms, and at most how many bytes of them in a partition (absent: any number).
   * `compacted` keeps the last of each key for ever.
   */
  readonly retention: { readonly ms: number; readonly bytes?: number } | "compacted";
  /** Bytes of one record (key, value, headers) that is published, at most. */
  readonly recordBytesMax: number;
  /** The broker's `max.message.bytes`: bytes of one batch, and so of what one request publishes to one partition. */
  readonly batchBytesMax: number;
};

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Bytes of one encoded event, at most, checked where the event is made. All that is made of an event later (its record, the
 * message in an announcement, a dead letter) has head-room above it: see the sizes of the topics.
 */
export const EVENT_BYTES_MAX = 256 * KIB;

const DAY_MS = 86_400_000;

/**
 * Bytes of announcements that a partition keeps: 3 GiB of all 12, and at 13,000 messages of 600 bytes a second still those of
 * the last six minutes. A consumer group of announcements that may be away for longer needs more.
 */
const POSTED_PARTITION_BYTES = 256 * MIB;

/** Partitions of topics that carry content: the most consumers of one group that can share the work. */
const CONTENT_PARTITIONS = 12;

function topic<Desc extends DescMessage>(declared: Topic<Desc>): Topic<Desc> {
  return Object.freeze(declared);
}

/** The place an event asks to be put into; the key that keeps the events of one place in order. */
function targetOf(event: MessageShape<typeof EventSchema>): string {
  switch (event.action.case) {
    case "chatMessage":
      return event.action.value.channelId;
    case "directMessage":
      return event.action.value.userId;
    case "wallPost":
      return event.action.value.wallId;
    case "calendarEntry":
      return event.action.value.calendarId;
    default:
      return event.teamId;
  }
}

/** All topics by the name code uses. */
export const topics = {
  /** Messages asked for; consumed by chat. Key: channel id. */
  chatRequested: topic({
    name: "chat.requested.v1",
    schema: EventSchema,
    keyOf: targetOf,
    eventType: "headgate.chat.requested.v1",
    partitions: CONTENT_PARTITIONS,
    retention: { ms: 7 * DAY_MS },
    // An event, its key and headers. A batch takes one request whole: a body of 1 MiB and 1,000 events of 500 bytes each
    // around what it says, with room to spare.
    recordBytesMax: EVENT_BYTES_MAX + 64 * KIB,
    batchBytesMax: 4 * MIB,
  }),
  /** Messages that became readable or changed. Key: channel id. */
  chatPosted: topic({
    name: "chat.posted.v1",
    schema: MessagePostedSchema,
    keyOf: (posted) => posted.message?.channelId ?? "",
    eventType: "headgate.chat.posted.v1",
    partitions: CONTENT_PARTITIONS,
    // Bounded: it only repeats what chat's tables keep. chat.requested is not: bytes would delete accepted events.
    retention: { ms: 7 * DAY_MS, bytes: POSTED_PARTITION_BYTES },
    // More than any record that the broker ever took of chat.requested, those of 1 MiB from before EVENT_BYTES_MAX included.
    recordBytesMax: 2 * MIB,
    batchBytesMax: 4 * MIB,
  }),
  /** Who and what, as it is now. Key: see RegistryChanged; a tombstone says that the thing is gone. */
  registryChanged: topic({
    name: "registry.changed.v1",
    schema: RegistryChangedSchema,
    keyOf: registryKeyOf,
    eventType: "headgate.registry.changed.v1",
    partitions: 1,
    retention: "compacted",
    recordBytesMax: 1_000_000,
    batchBytesMax: MIB,
  }),
} as const;

/** The key of a registry record: kind and ids, so that a tombstone too says what it is about. */
export function registryKeyOf(changed: MessageShape<typeof RegistryChangedSchema>): string {
  const { subject } = changed;
  switch (subject.case) {
    case "teamMember":
      return `team_member:${subject.value.teamId}:${subject.value.userId}`;
    case "channelMember":
      return `channel_member:${subject.value.channelId}:${subject.value.userId}`;
    case "revokedToken":
      return `token:${subject.value.id}`;
    case undefined:
      return "";
    default:
      return `${subject.case}:${subject.value.id}`;
  }
}

/** Consumer groups and what each reads: for provisioning dead-letter topics and for the lag page. */
export const groups = {
  chat: [topics.chatRequested],
} as const;
