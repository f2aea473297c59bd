/** Keeps a producer's picture of where partitions are: after failures until it is whole, else once a minute. */
import type { Log } from "../log.ts";
import type { Cluster } from "./cluster.ts";
import type { Lanes } from "./lanes.ts";
import { keepTrying } from "./pause.ts";

/** Asks where partitions are. */
export type Locator = {
  /** Asks until every topic in use is known and every lane with something to send has a leader. */
  refresh(): void;
  /** To be called now and then: asks when the last answer is old; earlier when `isDoubtful`: a broker does not answer. */
  keepFresh(isDoubtful: boolean): void;
};

/** ms between questions when nothing goes wrong, and while a broker does not answer. */
const AGE_MAX_MS = 60_000;
const DOUBTFUL_AGE_MAX_MS = 500;
const RETRY = { firstMs: 20, mostMs: 1_000 };

/** `onFresh` is called after each answer. */
export function createLocator(options: {
  readonly cluster: Cluster;
  readonly lanes: Lanes;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onFresh: () => void;
}): Locator {
  const { cluster, lanes, log, signal, onFresh } = options;
  let asking = false;
  let askedAt = performance.now();

  return {
    refresh,
    keepFresh(isDoubtful) {
      if (performance.now() - askedAt > (isDoubtful ? DOUBTFUL_AGE_MAX_MS : AGE_MAX_MS)) refresh();
    },
  };

  function refresh(): void {
    if (asking || signal.aborted) return;
    asking = true;
    const onFailure = (thrown: unknown, attempt: number) => {
      if (attempt === 4) log.warn("log.unreachable", { error: thrown });
    };
    void keepTrying(ask, { ...RETRY, signal, onFailure }).finally(() => {
      asking = false;
    });
  }

  async function ask(): Promise<void> {
    askedAt = performance.now();
    await cluster.refresh([...lanes.topics]);
    lanes.locate();
    onFresh();
    if (lanes.parked.length > 0) throw new Error("a topic is not known to the brokers");
    const isBlind = [...lanes.waiting].some((l) => cluster.leaderOf(l.topic, l.partition) < 0);
    if (isBlind) throw new Error("a partition has no leader");
  }
}
