/**
 * Membership in a consumer group: joins, shares the partitions out, keeps the place by heartbeats, commits, leaves. For
 * ever: whatever fails, it is tried again.
 */
import { delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";
import { type Cluster, TopicUnknown } from "./cluster.ts";
import { explainDenied, FORGOTTEN, isDenied, NOT_A_MEMBER, PASSING, REBALANCE } from "./codes.ts";
import { type Commits, createCommits } from "./commits.ts";
import { joinGroup } from "./join.ts";
import { type Link, refusalOf } from "./link.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { findCommitted, formatNote, type Position } from "./offsets.ts";
import { pause } from "./pause.ts";

/** What a membership needs. */
export type MembershipOptions = {
  readonly cluster: Cluster;
  readonly log: Log;
  readonly metrics: KafkaMetrics;
  readonly group: string;
  readonly topic: string;
  readonly clientId: string;
  /** Names the connections of this member. */
  readonly purpose: string;
  /** Partitions given to us, and where to begin in each. */
  readonly onAssigned: (positions: ReadonlyMap<number, Position>) => void;
  /** They are taken away: resolves when nothing of them is worked on any more. */
  readonly onRevoked: () => Promise<void>;
};

/** A place in a group. */
export type Membership = {
  readonly ready: boolean;
  /** Notes progress; it is committed within some ms, together with that of other partitions. */
  readonly commit: Commits["note"];
  /** Gives the partitions back, commits and leaves the group. */
  close(): Promise<void>;
};

/** ms without heartbeats after which the group goes on without us: how long a killed process holds its partitions. */
const SESSION_TIMEOUT_MS = 10_000;
/** ms that others wait for us to finish our chunks and join again. */
const REBALANCE_TIMEOUT_MS = 30_000;
/** ms between heartbeats: how soon we see that the group gathers anew. */
const HEARTBEAT_MS = 1_000;
const RETRY = { firstMs: 50, mostMs: 2_000 };
/** ms between tries of what the broker refuses until its settings are changed. */
const DENIED_RETRY_MS = 30_000;
/** Failures in a row between two log lines. */
const LOG_EVERY = 20;

type Member = { readonly id: string; readonly generation: number };

/** Starts joining at once. */
export function openMembership(options: MembershipOptions): Membership {
  const { cluster, log, metrics, group, topic, clientId, purpose } = options;
  const ended = new AbortController();
  let memberId = "";
  let coordinatorLink: Link | undefined;
  let member: Member | undefined;
  let ready = false;
  let closing: Promise<void> | undefined;
  const commits = createCommits({ topic, group, clientId, metrics, signal: ended.signal, send });
  const running = run();

  return {
    get ready() {
      return ready;
    },
    commit: commits.note,
    close() {
      closing ??= close();
      return closing;
    },
  };

  /** Asked for once; again after anything failed. */
  async function coordinator(): Promise<Link> {
    if (!coordinatorLink?.open) coordinatorLink = await cluster.coordinator(group, purpose);
    return coordinatorLink;
  }

  async function run(): Promise<void> {
    for (let failures = 0; !ended.signal.aborted; ) {
      try {
        const positions = await join();
        failures = 0;
        if (positions) await stay(positions);
      } catch (thrown) {
        coordinatorLink = undefined;
        if (ended.signal.aborted) return;
        const code = thrown instanceof TopicUnknown ? thrown.code : refusalOf(thrown);
        if (code !== undefined && FORGOTTEN.has(code)) memberId = "";
        failures++;
        if (code !== undefined && isDenied(code)) {
          if (failures % LOG_EVERY === 1) {
            log.error("log.access_denied", { group, topic, code, hint: explainDenied(code) });
          }
          await pause(DENIED_RETRY_MS, ended.signal);
          continue;
        }
        if (failures % LOG_EVERY === 3) {
          log.warn("log.group_unreachable", { group, topic, error: thrown });
        }
        await pause(delayMs(RETRY, failures), ended.signal);
      }
    }
  }

  /** Undefined when the group gathered anew meanwhile. */
  async function join(): Promise<Map<number, Position> | undefined> {
    await cluster.refresh([topic]);
    if (cluster.countPartitions(topic) === undefined) throw cluster.whyUnknown(topic);
    const joined = await joinGroup(await coordinator(), {
      group,
      topic,
      countPartitions,
      memberId,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      onNamed: (given) => {
        memberId = given; // so that it is given back if we close before we joined
      },
    });
    if (!joined) return undefined;
    const positions = await findPositions(joined.partitions);
    member = { id: memberId, generation: joined.generation };
    return positions;
  }

  /** Where the group stands; where it never was, 0, which the reader takes for the first kept record. */
  async function findPositions(partitions: readonly number[]): Promise<Map<number, Position>> {
    if (partitions.length === 0) return new Map();
    const committed = await findCommitted(cluster, group, topic, partitions, purpose);
    return new Map(
      partitions.map((partition) => {
        const position = committed.get(partition);
        return [partition, position && position.offset >= 0 ? position : { offset: 0 }];
      }),
    );
  }

  /** How many partitions topics have, asked anew; what is not known is left out. */
  async function countPartitions(topics: readonly string[]): Promise<Map<string, number>> {
    await cluster.refresh(topics);
    const counts = new Map<string, number>();
    for (const name of topics) {
      const count = cluster.countPartitions(name);
      if (count !== undefined) counts.set(name, count);
      else log.warn("log.topic_unknown", { group, topic: name });
    }
    return counts;
  }

  async function stay(positions: ReadonlyMap<number, Position>): Promise<void> {
    metrics.rebalanced(group);
    log.info("log.group_joined", { group, topic, partitions: [...positions.keys()] });
    options.onAssigned(positions);
    ready = true;
    try {
      await keepAlive();
    } finally {
      ready = false;
      const revoked = new AbortController();
      const beating = keepBeating(revoked.signal);
      await options.onRevoked();
      revoked.abort();
      await beating;
      await commits.flush();
      member = undefined;
    }
  }

  /** Keeps our place while running chunks are finished; what the group says is heard when we join again. */
  async function keepBeating(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && member) {
      await pause(HEARTBEAT_MS, signal);
      if (signal.aborted) return;
      await beat(member).catch(() => {});
    }
  }

  /** After a failure the coordinator is looked up anew: it may have moved. */
  async function beat(current: Member): Promise<void> {
    try {
      const link = await coordinator();
      await link.call("Heartbeat", {
        groupId: group,
        groupGenerationId: current.generation,
        memberId: current.id,
      });
    } catch (thrown) {
      if (refusalOf(thrown) !== REBALANCE) coordinatorLink = undefined;
      throw thrown;
    }
  }

  /** Returns when we must join again, or are to leave. */
  async function keepAlive(): Promise<void> {
    let heardAt = performance.now();
    while (!ended.signal.aborted) {
      await pause(HEARTBEAT_MS, ended.signal);
      if (ended.signal.aborted || !member) return;
      try {
        await beat(member);
        heardAt = performance.now();
      } catch (thrown) {
        const code = refusalOf(thrown);
        if (code === REBALANCE) return;
        if (code !== undefined && !PASSING.has(code)) {
          forget(code);
          return;
        }
        if (performance.now() - heardAt > SESSION_TIMEOUT_MS) return;
      }
    }
  }

  /** The group goes on without us: nothing may be committed in that name. */
  function forget(code: number): void {
    if (FORGOTTEN.has(code)) memberId = "";
    member = undefined;
    commits.forget();
  }

  /** Commits in the name of this member; false when the group does not know it any more. */
  async function send(positions: readonly (readonly [number, Position])[]): Promise<boolean> {
    if (!member) return false;
    try {
      const link = await coordinator();
      await link.call("OffsetCommit", {
        groupId: group,
        groupGenerationId: member.generation,
        memberId: member.id,
        topics: [
          {
            topic,
            partitions: positions.map(([partition, position]) => ({
              partition,
              offset: String(position.offset),
              metadata: formatNote(position),
            })),
          },
        ],
      });
      return true;
    } catch (thrown) {
      coordinatorLink = undefined;
      const code = refusalOf(thrown);
      if (code !== undefined && NOT_A_MEMBER.has(code)) return false; // the heartbeat will see it too
      throw thrown;
    }
  }

  async function close(): Promise<void> {
    ended.abort();
    if (!member) cluster.close(purpose); // may be waiting in a join
    await running;
    if (memberId !== "") {
      await leave().catch((thrown) => log.debug("log.leave_failed", { group, error: thrown }));
    }
    cluster.close(purpose);
  }

  async function leave(): Promise<void> {
    const link = await coordinator();
    await link.call("LeaveGroup", { groupId: group, memberId });
  }
}
