/** All lanes of a producer: which record goes into which, and which have something to send. */
import type { Cluster } from "./cluster.ts";
import { partitionOf } from "./partition.ts";
import { createLane, type Lane, type Pending } from "./producer-lane.ts";

/** The lanes of all topics in use. */
export type Lanes = {
  /** Names of the topics in use. */
  readonly topics: Iterable<string>;
  readonly all: readonly Lane[];
  /** Those with something to send; the ones served longest ago come first. */
  readonly waiting: ReadonlySet<Lane>;
  /** Records whose topic's partitions are not known yet. */
  readonly parked: readonly Pending[][];
  /** Puts a record into its lane; false when it had to be parked. */
  add(pending: Pending): boolean;
  /** Puts a lane at the end of those waiting, or takes it away when it has nothing to send. */
  queue(lane: Lane): void;
  /** Makes lanes for topics that became known and moves what was parked. */
  locate(): void;
};

type TopicState = { lanes: Lane[]; readonly parked: Pending[] };

/** No lanes yet. The number of a topic's partitions is taken once and kept: keys must not move. */
export function createLanes(cluster: Cluster): Lanes {
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

  function add(pending: Pending): boolean {
    const { topic, tail, keyStart, keyEnd } = pending.record;
    let state = topics.get(topic);
    if (!state) {
      state = { lanes: [], parked: [] };
      topics.set(topic, state);
      makeLanes(topic, state);
    }
    const lane =
      state.lanes.length > 0
        ? state.lanes[partitionOf(tail, keyStart, keyEnd, state.lanes.length)]
        : undefined;
    if (!lane) {
      state.parked.push(pending);
      return false;
    }
    lane.waiting.push(pending);
    waiting.add(lane);
    return true;
  }

  function makeLanes(topic: string, state: TopicState): void {
    const count = cluster.countPartitions(topic);
    if (count === undefined || state.lanes.length > 0) return;
    state.lanes = Array.from({ length: count }, (_, partition) => createLane(topic, partition));
    for (const pending of state.parked.splice(0)) add(pending);
  }
}
