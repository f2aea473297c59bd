/** What the Kafka door takes and gives. Types only. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Log } from "../log.ts";
import type { SpanContext } from "../telemetry.ts";
import type { Outcome } from "./outcome.ts";

/** Sizes that a topic takes. */
export type TopicSizes = {
  /** Bytes of one record that is published: key, value, headers and 12 bytes of framing. At most `batchBytesMax` less 128. */
  readonly recordBytesMax: number;
  /** The broker's `max.message.bytes`: bytes of one batch, and so of all records of one atomic call in one partition. */
  readonly batchBytesMax: number;
};

/** What provisioning needs to know of a topic. */
export type TopicSettings = TopicSizes & {
  readonly name: string;
  /** Fixed at creation; growing a keyed topic would reorder its keys. */
  readonly partitions: number;
  /**
   * How long the broker keeps records, in ms, and at most how many bytes of them in a partition (absent: any number).
   * Bytes delete what was not consumed yet too, so only topics that repeat what is kept elsewhere have such a bound.
   * `compacted` keeps the last of each key for ever.
   */
  readonly retention: { readonly ms: number; readonly bytes?: number } | "compacted";
};

/** A declared topic: what its values are, how they are keyed, how the broker keeps them. */
export type Topic<Desc extends DescMessage> = TopicSettings & {
  readonly schema: Desc;
  /** The record key: records of one key stay in order. */
  readonly keyOf: (value: MessageShape<Desc>) => string;
  /** What one record is called in the CloudEvents `ce_type` header. */
  readonly eventType: string;
};

/**
 * Publishes values in their order and resolves when all in-sync replicas have every one.
 *
 * The records of one call that go to one partition are one Kafka batch: all of them are kept, or none. A call whose
 * records go to several partitions is atomic in each of them only. Once a batch of a call failed, nothing more of
 * that call is sent.
 *
 * @throws AppError
 * - unavailable `log_full`: the buffer has no room; nothing is kept
 * - unavailable `log_unavailable`: the brokers did not take it in time, or refused it; nothing is kept, and nothing is
 *   sent after the throw
 * - unavailable `log_unsure`: it was sent and not acknowledged in time: it may or may not be kept
 * - invalid_argument `record_too_large` (a record is larger than the topic's `recordBytesMax`), `batch_too_large` (the
 *   records of one partition are more than its `batchBytesMax`); nothing is kept
 */
export type Publish<Desc extends DescMessage> = (
  values: readonly MessageShape<Desc>[],
  options?: {
    /** Written into the records' `traceparent`; absent: the active span's. */
    readonly trace?: SpanContext | undefined;
    /** false: the records of a partition may be divided over several batches: a call that fails may be kept in part. Default true. */
    readonly atomic?: boolean | undefined;
  },
) => Promise<void>;

/** A record that is encoded already. A `value` of null is a tombstone. */
export type RawRecord = {
  readonly topic: string;
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly headers?: Readonly<Record<string, string>>;
};

/**
 * Acts on the values of one chunk (1 to 500, of one partition, those of one key in offset order) and answers one outcome
 * per value, in order. The same values may come again: every effect must be harmless the second time.
 *
 * While a key has a backlog, records of other keys that were written later are handled before it: the order of records is
 * kept within a key only.
 *
 * A throw takes the verdict of its row in the status table. `retry`: the partition waits and the chunk comes again, for
 * as long as it takes. `dead`: the chunk comes again one value at a time, and those that still throw go to the dead
 * letter. `signal` aborts when the partition is being taken away or the process stops; an answer given after that
 * still counts.
 */
export type Handler<Desc extends DescMessage> = (
  values: MessageShape<Desc>[],
  context: { readonly signal: AbortSignal; readonly trace: SpanContext | undefined },
) => Promise<Outcome[]>;

/** Bounds of a consumer. */
export type ConsumeOptions = {
  /** Most values a handler gets at once. Default 500. */
  readonly chunkMax?: number;
  /** Partitions worked on at the same time. Default 4. */
  readonly partitionsAtOnce?: number;
};

/** A running member of a group. Disposing finishes the running chunks, commits them and leaves the group. */
export type Consumer = AsyncDisposable & {
  /** In the group, with its partitions assigned (maybe none). */
  readonly ready: boolean;
};

/** A record seen by a follower. `value` null is a tombstone. */
export type Followed<Desc extends DescMessage> = {
  readonly key: string;
  readonly value: MessageShape<Desc> | null;
  readonly partition: number;
  readonly offset: bigint;
};

/** First kept offset of a partition, and the offset that its next record will get. */
export type Edges = { readonly earliest: number; readonly latest: number };

/** Where a follower begins; a map: partition → offset. */
export type FollowFrom = "start" | "now" | ReadonlyMap<number, number>;

/** A running tail of a topic. */
export type Follower = AsyncDisposable & {
  /** The edges that the partitions had when reading began; pending while brokers are away. Never rejects. */
  readonly began: Promise<ReadonlyMap<number, Edges>>;
  /** Resolves when every record that was there when reading began has been handed over; from `now`: once reading begins. */
  readonly caughtUp: Promise<void>;
  /** Reading every partition now. False again while the broker is away. */
  readonly ready: boolean;
};

/** How far a group is behind in one partition. */
export type Lag = {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  /** Records that are not done. */
  readonly lag: number;
  /** When the oldest of them was written, in ms since 1970; undefined where there is none. */
  readonly oldestMs: number | undefined;
};

/** The door to the log. Nothing here waits for a broker at opening; `ready` tells. */
export type Kafka = AsyncDisposable & {
  /** A publisher of one topic. All publishers of a process share one producer and its bounds. */
  publisher<Desc extends DescMessage>(topic: Topic<Desc>): Publish<Desc>;
  /**
   * Publishes encoded records in their order and resolves when all of them are kept. Not atomic.
   * @throws AppError as `Publish` does, for the first topic that failed; others may be kept then
   */
  publishRaw(records: readonly RawRecord[]): Promise<void>;
  /**
   * Joins a group and works its share of a topic's partitions; keeps trying for ever when brokers are away.
   * Resolves once started, not once joined: see `Consumer.ready`.
   */
  consume<Desc extends DescMessage>(
    topic: Topic<Desc>,
    group: string,
    handler: Handler<Desc>,
    options?: ConsumeOptions,
  ): Promise<Consumer>;
  /**
   * Reads a topic in this process and commits nothing: every partition from the first kept record or from the end, or
   * the partitions of a map, each from its offset (the first kept one where that was deleted).
   * `onRecords` gets the records of one partition in offset order, each once, also across lost connections; what does
   * not decode is skipped and counted. It must not throw. Where the log was rolled back, reading goes back to the first
   * record that may not have been read, so that records may come twice.
   *
   * A copy of a compacted topic needs `onRestart`: after an hour without the broker (`restartAfterMs`), or when its place in
   * the log was lost, it may have missed tombstones. Reading then begins again at the first kept record, after `onRestart`
   * was called; `caughtUp` resolves when all that is in the topic by then was handed over.
   */
  follow<Desc extends DescMessage>(
    topic: Topic<Desc>,
    options: {
      readonly from: FollowFrom;
      readonly onRestart?: (caughtUp: Promise<void>) => void;
      readonly restartAfterMs?: number;
    },
    onRecords: (records: readonly Followed<Desc>[]) => void,
  ): Promise<Follower>;
  /** The producer has a session with the brokers. */
  readonly ready: boolean;
  /** @throws AppError unavailable `log_unavailable` when the brokers do not answer */
  lag(groups: Readonly<Record<string, readonly { readonly name: string }[]>>): Promise<Lag[]>;
};

/** How we authenticate. */
export type SaslMechanism = "plain" | "scram-sha-256" | "scram-sha-512";

/** How brokers are reached: see `kafka-settings.ts`. */
export type KafkaAccess = {
  /** Addresses `host:port`; one that answers is enough to find the rest. */
  readonly brokers: readonly string[];
  /** Present: connections are encrypted, and a broker's certificate is checked. PEM texts. */
  readonly tls?: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
    /** Name that the certificate must be for; default: the host of the address. */
    readonly servername?: string | undefined;
  };
  readonly sasl?: {
    readonly mechanism: SaslMechanism;
    readonly username: string;
    readonly password: string;
  };
};

/** Settings of the door. */
export type KafkaOptions = KafkaAccess & {
  /** Shown in the brokers' logs and quotas; the service's name. */
  readonly clientId: string;
  readonly log: Log;
  /** ms until an unacknowledged publish is rejected. Default 10,000. */
  readonly publishTimeoutMs?: number;
  /** Records that may wait or be under way at once, over all publishers. Default 50,000. */
  readonly bufferRecordsMax?: number;
  /** Bytes of records that may wait or be under way at once. Default 64 MiB. */
  readonly bufferBytesMax?: number;
  /** Requests under way to one broker at once, 1 to 5. More gathers less. Default 1. */
  readonly sendsInFlightMax?: number;
};
