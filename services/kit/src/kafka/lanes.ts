/** All lanes of a producer: which record goes into which, and which have something to send. */
import { recordBytes } from "./batch.ts";
import type { Call } from "./calls.ts";
import type { Cluster } from "./cluster.ts";
import { partitionOf } from "./partition.ts";
import { createLane, type Group, type Lane } from "./producer-lane.ts";
import type { Prepared } from "./record.ts";
import type { TopicSizes } from "./types.ts";

/** What one call publishes to one topic. */
export type Parcel = {
  readonly call: Call;
  /** At least one, all of one topic. */
  readonly records: readonly Prepared[];
  readonly sizes: TopicSizes;
};

/** The lanes of all topics in use. */
export type Lanes = {
  /** Names of the topics in use. */
  readonly topics: Iterable<string>;
  readonly all: readonly Lane[];
  /** Those with something to send; the ones served longest ago come first. */
  readonly waiting: ReadonlySet<Lane>;
  /** Calls whose topic's partitions are not known yet, by topic. */
  readonly parked: readonly Parcel[][];
  /** Puts records into their lanes; false when they had to be parked. */
  add(parcel: Parcel): boolean;
  /** Puts a lane at the end of those waiting, or takes it away when it has nothing to send. */
  queue(lane: Lane): void;
  /** Makes lanes for topics that became known and moves what was parked. */
  locate(): void;
};

type TopicState = { lanes: Lane[]; readonly sizes: TopicSizes; readonly parked: Parcel[] };

/** Bytes of a batch that gathers several calls: large enough to be worth it, small enough to be quick. */
const GATHERED_BYTES_MAX = 900_000;
/** Records of a group where the records of a call need not be kept together. */
const GROUP_RECORDS_MAX = 1_000;
/** Bytes of a batch besides its records. */
const BATCH_HEAD_BYTES = 61;

/**
 * No lanes yet. The number of a topic's partitions is taken once and kept: keys must not move. `onTooLarge` ends a call
 * whose records of one partition are more than the topic takes in one batch; none of them was put into a lane then.
 */
export function createLanes(cluster: Cluster, onTooLarge: (call: Call) => void): Lanes {
  const topics = new Map<string, TopicState>();
  const waiting = new Set<Lane>();

  return {
    get topics() {
      return topics.keys();
    },
    get all() {
      return [...topics.values()].flatMap((state) => state.lanes);
    },
    get parked() {
      return [...topics.values()].map((state) => state.parked).filter(({ length }) => length > 0);
    },
    waiting,
    add,
    queue(lane) {
      waiting.delete(lane);
      if (lane.waiting.length > 0 || lane.failed.length > 0) waiting.add(lane);
    },
    locate() {
      for (const [name, state] of topics) makeLanes(name, state);
    },
  };

  function add(parcel: Parcel): boolean {
    const { topic } = parcel.records[0] as Prepared; // there is one
    let state = topics.get(topic);
    if (!state) {
      state = { lanes: [], sizes: parcel.sizes, parked: [] };
      topics.set(topic, state);
      makeLanes(topic, state);
    }
    if (state.lanes.length === 0) {
      state.parked.push(parcel);
      return false;
    }
    distribute(state.lanes, parcel);
    return true;
  }

  function distribute(lanes: readonly Lane[], { call, records, sizes }: Parcel): void {
    if (records.length === 1) {
      put(laneOf(records[0] as Prepared, lanes), { call, records, bytes: call.bytes });
      return;
    }
    const groups: { lane: Lane; group: Group }[] = [];
    for (const [lane, own] of Map.groupBy(records, (record) => laneOf(record, lanes))) {
      for (const list of call.atomic ? [own] : divide(own)) {
        const bytes = list.reduce((sum, record) => sum + recordBytes(record), 0);
        if (bytes + BATCH_HEAD_BYTES > sizes.batchBytesMax) {
          onTooLarge(call);
          return;
        }
        groups.push({ lane, group: { call, records: list, bytes } });
      }
    }
    for (const { lane, group } of groups) put(lane, group);
  }

  function put(lane: Lane, group: Group): void {
    lane.waiting.push(group);
    waiting.add(lane);
  }

  function makeLanes(topic: string, state: TopicState): void {
    const count = cluster.countPartitions(topic);
    if (count === undefined || state.lanes.length > 0) return;
    const bytesMax = Math.min(GATHERED_BYTES_MAX, state.sizes.batchBytesMax - BATCH_HEAD_BYTES);
    state.lanes = Array.from({ length: count }, (_, at) => createLane(topic, at, bytesMax));
    for (const parcel of state.parked.splice(0)) distribute(state.lanes, parcel);
  }
}

function laneOf({ tail, keyStart, keyEnd }: Prepared, lanes: readonly Lane[]): Lane {
  return lanes[partitionOf(tail, keyStart, keyEnd, lanes.length)] as Lane; // the index is below the length
}

/** Cuts a list into parts of a bounded size, each with at least one record. */
function divide(records: readonly Prepared[]): Prepared[][] {
  const parts: Prepared[][] = [];
  let bytes = 0;
  for (const record of records) {
    const size = recordBytes(record);
    const last = parts.at(-1);
    if (last && last.length < GROUP_RECORDS_MAX && bytes + size <= GATHERED_BYTES_MAX) {
      last.push(record);
      bytes += size;
    } else {
      parts.push([record]);
      bytes = size;
    }
  }
  return parts;
}
