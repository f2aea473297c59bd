/** The three parts as containers, where an engine answers. The only file that knows testcontainers. */

import type { PartAddresses } from "@headgate/local/parts";
import { isPortFree } from "@headgate/local/ports";
import {
  GenericContainer,
  getContainerRuntimeClient,
  type StartedTestContainer,
  Wait,
} from "testcontainers";

const KAFKA_IMAGE = "apache/kafka:4.2.0";
const POSTGRES_IMAGE = "postgres:18";
const REDIS_IMAGE = "redis:7";
const KAFKA_PORT_FIRST = 31_000;
const KAFKA_PORT_COUNT = 1_000;

/** Containers that serve; disposing removes them. */
export type ContainerParts = AsyncDisposable & PartAddresses;

/** Whether a container engine answers. */
export async function hasContainerEngine(): Promise<boolean> {
  try {
    await getContainerRuntimeClient();
    return true;
  } catch {
    return false;
  }
}

/** Starts all three and waits until they serve. @throws Error when an image cannot be had or a part does not start */
export async function openContainerParts(): Promise<ContainerParts> {
  await using scope = new AsyncDisposableStack();
  const keep = (container: StartedTestContainer): StartedTestContainer => {
    scope.defer(async () => void (await container.stop()));
    return container;
  };
  const [redis, postgres, kafka] = await Promise.all([
    startRedis().then(keep),
    startPostgres().then(keep),
    startKafka().then(keep),
  ]);
  const open = scope.move();
  return {
    kafkaBrokers: [`${kafka.getHost()}:${kafka.getMappedPort(9092)}`],
    databaseUrl: `postgres://postgres:postgres@${postgres.getHost()}:${postgres.getMappedPort(5432)}/postgres`,
    redisUrl: `redis://${redis.getHost()}:${redis.getMappedPort(6379)}`,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function startRedis(): Promise<StartedTestContainer> {
  return new GenericContainer(REDIS_IMAGE)
    .withCommand(["redis-server", "--save", ""])
    .withExposedPorts(6379)
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
    .start();
}

function startPostgres(): Promise<StartedTestContainer> {
  return new GenericContainer(POSTGRES_IMAGE)
    .withEnvironment({ POSTGRES_PASSWORD: "postgres" })
    .withCommand(["postgres", "-c", "fsync=off", "-c", "max_connections=200"])
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
    .start();
}

/** A broker must tell its clients an address that they can reach, so its outer port is known before it starts. */
async function startKafka(): Promise<StartedTestContainer> {
  const port = await pickPort();
  return new GenericContainer(KAFKA_IMAGE)
    .withEnvironment({
      KAFKA_NODE_ID: "1",
      KAFKA_PROCESS_ROLES: "broker,controller",
      KAFKA_CONTROLLER_QUORUM_VOTERS: "1@localhost:9093",
      KAFKA_LISTENERS: "PLAINTEXT://:9092,CONTROLLER://:9093",
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: "CONTROLLER",
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false",
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1",
      KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: "4",
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: "1",
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: "1",
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0",
    })
    .withExposedPorts({ container: 9092, host: port })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start();
}

async function pickPort(): Promise<number> {
  for (;;) {
    const port = KAFKA_PORT_FIRST + Math.floor(Math.random() * KAFKA_PORT_COUNT);
    if (await isPortFree("0.0.0.0", port)) return port;
  }
}
