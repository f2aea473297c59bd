/** The door to Kafka: publish, consume, follow, provision. The only place that knows kafkajs is behind it. */
import { createCluster } from "./kafka/cluster.ts";
import { openConsumer } from "./kafka/consumer.ts";
import { openFollower } from "./kafka/follower.ts";
import { readLag } from "./kafka/lag.ts";
import { createKafkaMetrics } from "./kafka/metrics.ts";
import { openProducer } from "./kafka/producer.ts";
import { createPublisher, DEFAULT_SIZES, prepareRaw } from "./kafka/publisher.ts";
import type { Kafka, KafkaOptions } from "./kafka/types.ts";

export { checkBrokers } from "./kafka/check.ts";
export { dead, done, drop, type Outcome, retry } from "./kafka/outcome.ts";
export { provisionTopics } from "./kafka/provision.ts";
export type {
  ConsumeOptions,
  Consumer,
  Edges,
  Followed,
  Follower,
  FollowFrom,
  Handler,
  Kafka,
  KafkaAccess,
  KafkaOptions,
  Lag,
  Publish,
  RawRecord,
  Topic,
  TopicSettings,
  TopicSizes,
} from "./kafka/types.ts";

/** Opens the door. Does not wait for a broker: `ready` tells. Disposing sends what is buffered, then closes. */
export async function openKafka(options: KafkaOptions): Promise<Kafka> {
  const { clientId, log } = options;
  const metrics = createKafkaMetrics();
  const cluster = createCluster(options);
  const producer = openProducer({
    cluster,
    log,
    metrics,
    timeoutMs: options.publishTimeoutMs ?? 10_000,
    bufferRecordsMax: options.bufferRecordsMax ?? 50_000,
    bufferBytesMax: options.bufferBytesMax ?? 64 * 1024 * 1024,
    sendsInFlightMax: options.sendsInFlightMax ?? 1,
  });
  let opened = 0;
  return {
    publisher: (topic) => createPublisher(producer, topic, clientId),
    async publishRaw(records) {
      const byTopic = Map.groupBy(prepareRaw(records), ({ topic }) => topic);
      const sent = [...byTopic.values()].map((own) => producer.publish(own, DEFAULT_SIZES, false));
      await Promise.allSettled(sent); // so that nothing is under way after a throw
      await Promise.all(sent);
    },
    async consume(topic, group, handler, bounds = {}) {
      const name = String(++opened);
      return openConsumer({
        cluster,
        log,
        metrics,
        producer,
        topic,
        group,
        handler,
        bounds,
        clientId,
        name,
      });
    },
    async follow(topic, options, onRecords) {
      const purpose = `follow-${++opened}`;
      return openFollower({ cluster, log, metrics, topic, ...options, purpose, onRecords });
    },
    lag: (groups) => readLag(cluster, groups),
    get ready() {
      return producer.ready;
    },
    async [Symbol.asyncDispose]() {
      await producer.close();
      cluster.close();
    },
  };
}
