/** Makes the topics as they are declared and says where a broker has them otherwise. */
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import { createAlterConfigs } from "./alter-configs.ts";
import { type Cluster, createCluster } from "./cluster.ts";
import { deadLetterOf, deadLetterSizesOf } from "./dead-letter.ts";
import { persist } from "./pause.ts";
import { explainRefusal } from "./refusals.ts";
import { listBounds, type TopicBound } from "./topic-bounds.ts";
import type { KafkaAccess, TopicSettings } from "./types.ts";

/** A topic with the settings it must have. */
type Wanted = {
  readonly name: string;
  readonly partitions: number;
  readonly config: Config;
  /** Altered where the broker's value does not suffice. */
  readonly bounds: readonly TopicBound[];
};
type Config = Readonly<Record<string, string>>;

/** How long dead letters are kept, ms: long enough for people to find and redrive them. */
const DEAD_LETTER_RETENTION_MS = 30 * 86_400_000;
/** Brokers must answer and new topics must have leaders within 30 s. */
const RETRY = { firstMs: 50, mostMs: 1_000, timeoutMs: 30_000 };
const TOPIC_EXISTS = 36;
/** Resource type of topics in DescribeConfigs. */
const TOPIC_RESOURCE = 2;

/**
 * Creates what is missing of the topics, among them the dead-letter topics of the groups (one partition each), and
 * checks what is there. A topic that takes smaller batches than declared is altered to take them, and one without a bound
 * of bytes gets the declared one. A second run changes nothing.
 * @throws AppError failed_precondition `topics_differ` naming every partition count or setting that is not as declared;
 * and `log_refused` when a broker refuses the connection or the change; unavailable `log_unavailable` when the brokers do
 * not answer within 30 s
 */
export async function provisionTopics(
  options: KafkaAccess & {
    readonly topics: readonly TopicSettings[];
    /** Groups and the topics each consumes. */
    readonly groups: Readonly<Record<string, readonly TopicSettings[]>>;
    /** Copies of each partition; min.insync.replicas is 2 from 3 copies on, else 1. Default 1. */
    readonly replication?: number;
    readonly log: Log;
  },
): Promise<void> {
  const { log, replication = 1 } = options;
  const wanted = listWanted(options.topics, options.groups, replication);
  const names = wanted.map(({ name }) => name);
  const cluster = createCluster({ ...options, clientId: "headgate-provision" });
  try {
    await persevere(async () => {
      await cluster.refresh(names);
      const missing = wanted.filter(({ name }) => cluster.countPartitions(name) === undefined);
      for (const name of await createMissing(cluster, missing, replication)) {
        log.info("log.topic_created", { topic: name });
      }
      await cluster.refresh(names);
      for (const { name, partitions } of wanted) {
        const count = cluster.countPartitions(name) ?? 0;
        const leaders = Array.from({ length: count }, (_, at) => cluster.leaderOf(name, at));
        if (leaders.length < partitions && missing.some((made) => made.name === name)) {
          throw new Error(`topic ${name} is not there yet`);
        }
        if (leaders.some((leader) => leader < 0))
          throw new Error(`topic ${name} has no leader yet`);
      }
    });
    const faults = await persevere(async () => {
      for (const { topic, name, value } of await adjustBounds(cluster, wanted)) {
        log.info("log.topic_altered", { topic, setting: name, value });
      }
      return findFaults(cluster, wanted);
    });
    if (faults.length > 0) {
      throw new AppError(
        "failed_precondition",
        "topics_differ",
        `topics are not as declared:\n${faults.map((fault) => `  ${fault}`).join("\n")}`,
      );
    }
  } finally {
    cluster.close();
  }
}

/** All topics with their settings, dead letters included, each once. */
export function listWanted(
  topics: readonly TopicSettings[],
  groups: Readonly<Record<string, readonly TopicSettings[]>>,
  replication: number,
): Wanted[] {
  const common = { "min.insync.replicas": replication >= 3 ? "2" : "1" };
  const own = topics.map(({ name, partitions, retention, batchBytesMax }) => ({
    name,
    partitions,
    bounds: listBounds({ batchBytesMax, retention }),
    config:
      retention === "compacted"
        ? { ...common, "cleanup.policy": "compact" }
        : { ...common, "cleanup.policy": "delete", "retention.ms": String(retention.ms) },
  }));
  const dead = Object.entries(groups).flatMap(([group, consumed]) =>
    consumed.map((topic) => ({
      name: deadLetterOf(topic.name, group),
      partitions: 1,
      bounds: listBounds({
        batchBytesMax: deadLetterSizesOf(topic).batchBytesMax,
        retention: { ms: DEAD_LETTER_RETENTION_MS },
      }),
      config: {
        ...common,
        "cleanup.policy": "delete",
        "retention.ms": String(DEAD_LETTER_RETENTION_MS),
      },
    })),
  );
  return [...new Map([...own, ...dead].map((topic) => [topic.name, topic])).values()];
}

async function createMissing(
  cluster: Cluster,
  missing: readonly Wanted[],
  replication: number,
): Promise<string[]> {
  if (missing.length === 0) return [];
  const link = await cluster.controller();
  const { topicErrors } = await link.call(
    "CreateTopics",
    {
      topics: missing.map(({ name, partitions, config, bounds }) => ({
        topic: name,
        numPartitions: partitions,
        replicationFactor: replication,
        configEntries: [
          ...Object.entries(config).map(([key, value]) => ({ name: key, value })),
          ...bounds.map((bound) => ({ name: bound.name, value: String(bound.value) })),
        ],
      })),
      timeout: 5_000,
    },
    { timeoutMs: 10_000, lenient: true },
  );
  const failed = topicErrors.filter(
    ({ errorCode }) => errorCode !== 0 && errorCode !== TOPIC_EXISTS,
  );
  if (failed.length > 0) {
    const said = failed.map((e) => `${e.topic}: ${e.errorMessage ?? `error ${e.errorCode}`}`);
    throw refusedBy(failed[0]?.errorCode, `topics could not be created: ${said.join("; ")}`);
  }
  return topicErrors.filter(({ errorCode }) => errorCode === 0).map(({ topic }) => topic);
}

/** Alters the topics whose bounds do not suffice, one setting at a time. @returns what was altered */
async function adjustBounds(cluster: Cluster, wanted: readonly Wanted[]) {
  const configs = await readConfigs(cluster, wanted);
  const changes = wanted.flatMap((topic) =>
    listShort(topic, configs).map(({ name, value }) => ({
      topic: topic.name,
      name,
      value: String(value),
    })),
  );
  for (const setting of new Set(changes.map(({ name }) => name))) {
    const link = await cluster.controller();
    const same = changes.filter(({ name }) => name === setting);
    const refused = (await link.send(createAlterConfigs(same))).filter(({ code }) => code !== 0);
    if (refused.length > 0) {
      const said = refused.map(
        ({ topic, code, message }) => `${topic}: ${message || `error ${code}`}`,
      );
      throw refusedBy(refused[0]?.code, `${setting} could not be set: ${said.join("; ")}`);
    }
  }
  return changes;
}

/** The bounds of a topic that the broker's values do not suffice for. */
function listShort(
  { name: topic, bounds }: Wanted,
  configs: Awaited<ReturnType<typeof readConfigs>>,
): TopicBound[] {
  const actual = configs.get(topic);
  return bounds.filter(({ name, suffices }) => !suffices(Number(actual?.get(name))));
}

async function findFaults(cluster: Cluster, wanted: readonly Wanted[]): Promise<string[]> {
  const configs = await readConfigs(cluster, wanted);
  return wanted.flatMap((topic) => {
    const { name, partitions, config } = topic;
    const faults: string[] = [];
    const count = cluster.countPartitions(name) ?? 0;
    if (count !== partitions) faults.push(`${name} has ${count} partitions, not ${partitions}`);
    const actual = configs.get(name);
    for (const [key, value] of Object.entries(config)) {
      if (actual?.get(key) !== value)
        faults.push(`${name} has ${key}=${actual?.get(key)}, not ${value}`);
    }
    const [short] = listShort(topic, configs);
    if (short) throw new Error(`${name} does not have ${short.name}=${short.value} yet`);
    return faults;
  });
}

/** Settings of topics as the broker has them: topic → setting → value. */
async function readConfigs(
  cluster: Cluster,
  wanted: readonly Wanted[],
): Promise<Map<string, Map<string, string | null>>> {
  const link = await cluster.anyLink();
  const { resources } = await link.call("DescribeConfigs", {
    resources: wanted.map(({ name, config, bounds }) => ({
      type: TOPIC_RESOURCE,
      name,
      configNames: [...Object.keys(config), ...bounds.map((bound) => bound.name)],
    })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
}

/** An error that carries a broker's code, for `explainRefusal`. */
function refusedBy(code: number | undefined, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** @throws AppError unavailable `log_unavailable` when it does not work in time, failed_precondition `log_refused` at once */
async function persevere<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await persist(task, { ...RETRY, isFinal: (thrown) => !!explainRefusal(thrown) });
  } catch (thrown) {
    const refusal = explainRefusal(thrown);
    if (refusal) {
      const message = `The log cannot be set up: ${refusal.message} (see ${refusal.settings})`;
      throw new AppError("failed_precondition", "log_refused", message, { cause: thrown });
    }
    const why = thrown instanceof Error ? thrown.message : "no answer";
    throw new AppError("unavailable", "log_unavailable", `The log cannot be set up: ${why}`, {
      cause: thrown,
    });
  }
}
