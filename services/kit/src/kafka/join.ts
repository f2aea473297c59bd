/** Joining a group: being named, gathering with the others, sharing the partitions out. */
import {
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "./assignment.ts";
import { REBALANCE } from "./codes.ts";
import { type Link, refusalOf } from "./link.ts";

/** How partitions are shared out; all members of a group must know it. */
const PROTOCOL = "roundrobin";
/** ms over the time that the others have, for the answers. */
const SLACK_MS = 5_000;

/**
 * Joins and waits until every member has: up to `rebalanceTimeoutMs`. `onNamed` is told each name we are given.
 * @returns our partitions in the generation; undefined when the group gathers anew already
 * @throws what the coordinator refused, or that it is away
 */
export async function joinGroup(
  coordinator: Link,
  options: {
    readonly group: string;
    readonly topic: string;
    /** How many partitions topics have; those that are not known are left out. */
    readonly countPartitions: (topics: readonly string[]) => Promise<ReadonlyMap<string, number>>;
    /** Empty: a new member. */
    readonly memberId: string;
    readonly sessionTimeoutMs: number;
    readonly rebalanceTimeoutMs: number;
    readonly onNamed: (memberId: string) => void;
  },
): Promise<{ partitions: number[]; generation: number } | undefined> {
  const { group, topic, onNamed } = options;
  const timeoutMs = options.rebalanceTimeoutMs + SLACK_MS;
  const joined = await gather();
  onNamed(joined.memberId);
  const isLeader = joined.leaderId === joined.memberId;
  const shares = isLeader ? await share(joined.members) : [];
  try {
    const { memberAssignment } = await coordinator.call(
      "SyncGroup",
      {
        groupId: group,
        generationId: joined.generationId,
        memberId: joined.memberId,
        groupAssignment: shares.map(({ memberId, partitions }) => ({
          memberId,
          memberAssignment: encodeAssignment(partitions),
        })),
      },
      { timeoutMs },
    );
    const partitions = decodeAssignment(memberAssignment, topic);
    return { partitions, generation: joined.generationId };
  } catch (thrown) {
    if (refusalOf(thrown) === REBALANCE) return undefined;
    throw thrown;
  }

  async function share(members: readonly { memberId: string; memberMetadata: Buffer }[]) {
    const subscribed = members.map(({ memberId, memberMetadata }) => ({
      memberId,
      topics: decodeSubscription(memberMetadata),
    }));
    const topics = [...new Set(subscribed.flatMap((member) => member.topics))];
    return assign(subscribed, await options.countPartitions(topics));
  }

  async function gather() {
    try {
      return await ask(options.memberId);
    } catch (thrown) {
      // A new member is given its name first, and joins by it.
      const given = thrown instanceof Error && "memberId" in thrown ? thrown.memberId : undefined;
      if (typeof given !== "string") throw thrown;
      onNamed(given);
      return await ask(given);
    }
  }

  function ask(memberId: string) {
    return coordinator.call(
      "JoinGroup",
      {
        groupId: group,
        sessionTimeout: options.sessionTimeoutMs,
        rebalanceTimeout: options.rebalanceTimeoutMs,
        memberId,
        protocolType: "consumer",
        groupProtocols: [{ name: PROTOCOL, metadata: encodeSubscription(topic) }],
      },
      { timeoutMs },
    );
  }
}
