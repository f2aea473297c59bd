/** A member of a group at work: partitions come and go, each has a lane, one reader feeds them all. */
import type { DescMessage } from "@bufbuild/protobuf";
import type { Log } from "../log.ts";
import type { Cluster } from "./cluster.ts";
import { createBury } from "./dead-letter.ts";
import { type Fetcher, openFetcher } from "./fetcher.ts";
import { type ConsumerLane, openLane } from "./lane.ts";
import { openMembership } from "./membership.ts";
import type { KafkaMetrics } from "./metrics.ts";
import type { Position } from "./offsets.ts";
import type { Producer } from "./producer.ts";
import { createSlots } from "./slots.ts";
import type { ConsumeOptions, Consumer, Handler, Topic } from "./types.ts";

/** ms that running chunks may take to finish when partitions are given back; after that their progress is lost. */
const DRAIN_TIMEOUT_MS = 25_000;

/** Starts joining at once. */
export function openConsumer<Desc extends DescMessage>(options: {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly producer: Producer;
  readonly topic: Topic<Desc>;
  readonly group: string;
  readonly handler: Handler<Desc>;
  readonly bounds: ConsumeOptions;
  readonly clientId: string;
  /** Unique in the process; names the connections. */
  readonly name: string;
}): Consumer {
  const { cluster, log, metrics, producer, topic, group, handler, bounds } = options;
  const { clientId, name } = options;
  const slots = createSlots(bounds.partitionsAtOnce ?? 4);
  const lanes = new Map<number, ConsumerLane>();
  let fetcher: Fetcher | undefined;
  /** Reads again what `fetcher` skipped of a backlog: see backlog.ts. */
  let catchUp: Fetcher | undefined;
  /** Aborts when the partitions are given back and nothing of them may be committed any more. */
  let revoked = new AbortController();

  const membership = openMembership({
    cluster,
    log,
    metrics,
    group,
    topic: topic.name,
    clientId,
    purpose: `group-${name}`,
    onAssigned,
    onRevoked,
  });
  const unwatch = metrics.watchLag(() =>
    [...lanes].map(([partition, lane]) => ({ group, topic: topic.name, partition, ...lane.lag })),
  );

  return {
    get ready() {
      return membership.ready && !(fetcher?.denied ?? false);
    },
    async [Symbol.asyncDispose]() {
      await membership.close();
      unwatch();
    },
  };

  function onAssigned(positions: ReadonlyMap<number, Position>): void {
    revoked = new AbortController();
    for (const [partition, position] of positions) {
      lanes.set(partition, open(partition, position, revoked.signal));
    }
    const common = { cluster, log, metrics, topic: topic.name };
    fetcher = openFetcher({
      ...common,
      purpose: `fetch-${name}`,
      positions,
      wants: (partition) => lanes.get(partition)?.hasRoom ?? false,
      keeps: (partition) => lanes.get(partition)?.keeps(),
      onFetched: (fetched) => lanes.get(fetched.partition)?.push(fetched),
    });
    catchUp = openFetcher({
      ...common,
      purpose: `catchup-${name}`,
      positions: new Map(),
      wants: () => true,
      keeps: (partition) => lanes.get(partition)?.keepsDeferred,
      onFetched: (fetched) => lanes.get(fetched.partition)?.pushDeferred(fetched),
    });
  }

  function open(partition: number, position: Position, over: AbortSignal): ConsumerLane {
    return openLane({
      topic,
      group,
      partition,
      clientId,
      position,
      handler,
      bury: createBury(producer, { topic, group, partition }),
      chunkMax: bounds.chunkMax ?? 500,
      slots,
      log,
      metrics,
      onSettled: (done, trace) => {
        if (!over.aborted) membership.commit(partition, done, trace);
      },
      onRoom: () => fetcher?.wake(),
      onRestart: (offset) => {
        if (!over.aborted) fetcher?.seek(partition, offset);
      },
      onCatchUp: (offset) => {
        if (!over.aborted) catchUp?.seek(partition, offset);
      },
    });
  }

  async function onRevoked(): Promise<void> {
    fetcher?.close();
    catchUp?.close();
    fetcher = undefined;
    catchUp = undefined;
    const ending = revoked;
    const stopped = Promise.all([...lanes.values()].map((lane) => lane.stop()));
    lanes.clear();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(resolve, DRAIN_TIMEOUT_MS, "late");
    });
    if ((await Promise.race([stopped, late])) === "late") {
      log.error("log.drain_late", { group, topic: topic.name });
    }
    clearTimeout(timer);
    ending.abort(); // a chunk that ends later must not act in the name of the next generation
  }
}
