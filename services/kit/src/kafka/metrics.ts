/** What the door counts. Names are in semconv.ts; attributes have few values each. */
import { ATTR, METRIC, OUR_METRIC, OURS } from "../semconv.ts";
import { counter, gauge, histogram } from "../telemetry.ts";

/** How far behind one partition of a group is. `ageS` is the age of the oldest record not worked yet, in seconds. */
export type LagReading = {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly lag: number;
  readonly ageS: number;
};

/** The counters of one door. */
export type KafkaMetrics = {
  /** Records of one topic that were acknowledged, or given up with an error. */
  sent(topic: string, count: number, error?: string): void;
  /** Records of one topic handed to a handler or follower. */
  consumed(topic: string, count: number, group?: string): void;
  /** How long a request to a broker took; `operation` is "send", "poll" or "commit". */
  operation(topic: string, operation: string, seconds: number, error?: string): void;
  /** How long a handler took for one chunk. */
  processed(topic: string, group: string, seconds: number, error?: string): void;
  outcome(group: string, outcome: string, reason: string): void;
  /** A record written to the dead-letter topic; `isCut`: without its value, which was too large for it. */
  buried(topic: string, group: string, reason: string, isCut: boolean): void;
  skipped(topic: string): void;
  rebalanced(group: string): void;
  /** Adds a source of lag readings; the returned function takes it away. */
  watchLag(read: () => readonly LagReading[]): () => void;
};

const SYSTEM = { [ATTR.messagingSystem]: "kafka" };

/** Registers the metrics. */
export function createKafkaMetrics(): KafkaMetrics {
  const sent = counter(METRIC.messagingSent, { unit: "{message}" });
  const consumed = counter(METRIC.messagingConsumed, { unit: "{message}" });
  const operations = histogram(METRIC.messagingOperationDuration, { unit: "s" });
  const processing = histogram(METRIC.messagingProcessDuration, { unit: "s" });
  const outcomes = counter(OUR_METRIC.recordOutcomes, { unit: "{record}" });
  const deadletters = counter(OUR_METRIC.deadletterRecords, { unit: "{record}" });
  const rebalances = counter(OUR_METRIC.consumerRebalances, { unit: "{rebalance}" });
  const lagSources = new Set<() => readonly LagReading[]>();
  const readLag = () => [...lagSources].flatMap((read) => read());
  gauge(
    OUR_METRIC.consumerLag,
    () => readLag().map((reading) => ({ value: reading.lag, attributes: attributesOf(reading) })),
    { unit: "{record}", description: "Records behind the end of the partition." },
  );
  gauge(
    OUR_METRIC.consumerLagAge,
    () => readLag().map((reading) => ({ value: reading.ageS, attributes: attributesOf(reading) })),
    { unit: "s", description: "Age of the oldest record that was fetched and not worked yet." },
  );
  return {
    sent: (topic, count, error) =>
      sent.add(count, { ...base(topic, "send"), ...(error && { [ATTR.errorType]: error }) }),
    consumed: (topic, count, group) =>
      consumed.add(count, {
        ...base(topic, "poll"),
        ...(group && { [ATTR.messagingGroup]: group }),
      }),
    operation: (topic, operation, seconds, error) =>
      operations.record(seconds, {
        ...base(topic, operation),
        ...(error && { [ATTR.errorType]: error }),
      }),
    processed: (topic, group, seconds, error) =>
      processing.record(seconds, {
        ...base(topic, "process"),
        [ATTR.messagingGroup]: group,
        ...(error && { [ATTR.errorType]: error }),
      }),
    outcome: (group, outcome, reason) =>
      outcomes.add(1, {
        [ATTR.messagingGroup]: group,
        [OURS.outcome]: outcome,
        [OURS.reason]: reason,
      }),
    buried: (topic, group, reason, isCut) =>
      deadletters.add(1, {
        [ATTR.messagingDestination]: topic,
        [ATTR.messagingGroup]: group,
        [OURS.reason]: reason,
        ...(isCut && { [OURS.outcome]: "value_omitted" }),
      }),
    skipped: (topic) =>
      consumed.add(1, { ...base(topic, "poll"), [ATTR.errorType]: "undecodable" }),
    rebalanced: (group) => rebalances.add(1, { [ATTR.messagingGroup]: group }),
    watchLag(read) {
      lagSources.add(read);
      return () => lagSources.delete(read);
    },
  };
}

function base(topic: string, operation: string): Record<string, string> {
  return {
    ...SYSTEM,
    [ATTR.messagingDestination]: topic,
    [ATTR.messagingOperation]: operation,
  };
}

function attributesOf({ group, topic, partition }: LagReading): Record<string, string> {
  return {
    [ATTR.messagingGroup]: group,
    [ATTR.messagingDestination]: topic,
    [ATTR.messagingPartition]: String(partition),
  };
}
