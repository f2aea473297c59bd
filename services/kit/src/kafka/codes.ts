/** Error codes of brokers, sorted by what they ask of us. Numbers as in Kafka's protocol guide. */

/** Stored before: the answer to the first try was lost. */
export const DUPLICATE_SEQUENCE = 46;
/** A batch came before the one that belongs in front of it, or the broker forgot what it had. */
export const OUT_OF_ORDER_SEQUENCE = 45;
/** There is no topic or partition of that name, or not yet. */
export const UNKNOWN_TOPIC = 3;
/** A position that is not in the log (any more, or yet). */
export const OFFSET_OUT_OF_RANGE = 1;
/** The record or its batch is larger than the topic takes. */
export const TOO_LARGE: ReadonlySet<number> = new Set([10, 18]);
/**
 * A producer session that the broker does not go on with: a gap in the numbers 45, an old epoch 47, a producer id that it
 * does not know 59. Nothing of the batch is stored; a new session can send it.
 */
export const SESSION_REFUSED: ReadonlySet<number> = new Set([45, 47, 59]);
/**
 * The broker checked the batch and did not append it: damaged on the way 2, too large 10 18, too few replicas 19, not
 * allowed 29, the session 45 47 59, an invalid record 87. Not 6 (not the leader): a leader that is replaced while it
 * waits for its replicas answers so, and the batch may be kept by the next one.
 */
export const NOT_APPENDED: ReadonlySet<number> = new Set([2, 10, 18, 19, 29, 45, 47, 59, 87]);
/** The group gathers anew. */
export const REBALANCE = 27;
/** This member is not known to the group any more, or another took its place. */
export const FORGOTTEN: ReadonlySet<number> = new Set([25, 82]);
/** This member is not in the group as it is now: forgotten, or of a former generation. */
export const NOT_A_MEMBER: ReadonlySet<number> = new Set([22, 25, 82]);

/**
 * Passes by itself, mostly after asking who leads now: damaged on the way 2, topic not known (yet) 3, no leader 5, not
 * the leader 6, replicas late 7, broker or replica away 8 9, network 13, group coordinator loading, away or moved 14 15
 * 16, too few replicas 19 20, disk 56, leader epochs 74 75, offset not there yet 78, throttled 89.
 */
export const PASSING: ReadonlySet<number> = new Set([
  2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 56, 74, 75, 78, 89,
]);

/**
 * Refusals that do not pass by themselves: rights or settings must be changed, on the broker or here. Code → what to do.
 */
const DENIED: ReadonlyMap<number, string> = new Map([
  [
    23,
    "all members of a consumer group must use the same assignment protocol: give this one a group of its own",
  ],
  [24, "the name of the consumer group is not valid: change it"],
  [
    26,
    "allow a session timeout of 10 s: group.min.session.timeout.ms, group.max.session.timeout.ms of the broker",
  ],
  [
    29,
    "grant this client Read and Describe on the topic, and Write where it publishes (Kafka ACLs)",
  ],
  [30, "grant this client Read on the consumer group (Kafka ACLs)"],
  [31, "grant this client the rights on the cluster that it asks for (Kafka ACLs)"],
  [35, "the broker is too old or too new for this client: see the README of kit for the versions"],
  [81, "the consumer group is full: raise group.max.size of the broker, or run fewer processes"],
]);

/** Whether a refusal does not pass by itself. */
export function isDenied(code: number): boolean {
  return DENIED.has(code);
}

/** What an operator must do about a refusal that does not pass by itself. */
export function explainDenied(code: number): string {
  return DENIED.get(code) ?? "see the protocol guide of Kafka for the code";
}
