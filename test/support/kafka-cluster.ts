/** Three brokers that copy each other's partitions, for tests in which leaders and coordinators move. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchJars } from "@headgate/local/parts/maven";
import { isListening } from "@headgate/local/parts/probe";
import { claimPorts } from "@headgate/local/ports";
import { findProgram, runProgram } from "@headgate/local/programs";
import { type Supervised, supervise } from "@headgate/local/supervise";
import { onTestFinished } from "vitest";

/** The running cluster; all of it ends with the test. */
export type KafkaCluster = {
  readonly brokers: string[];
  /** The broker of each address of `brokers`. The first also controls the cluster. */
  readonly processes: readonly Supervised[];
};

/** Copies of each partition, of which two must have a record before it is acknowledged. */
export const COPIES = 3;

const JVM_OPTIONS = ["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:-UsePerfData"];
const CLUSTER_ID = Buffer.from("headgate-cluster").toString("base64url");
const FORMAT_TIMEOUT_MS = 60_000;

/** Starts it and waits until every broker is one of the cluster. */
export async function startKafkaCluster(): Promise<KafkaCluster> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-cluster-"));
  const ports = await claimPorts(join(folder, "ports.json"), ["controller", "1", "2", "3"]);
  const jars = await fetchJars(
    "kafka",
    { name: "Kafka", setting: "KAFKA_BROKERS" },
    { report() {} },
  );
  const processes: Supervised[] = [];
  onTestFinished(async () => {
    await Promise.all(processes.map((process) => process.stop()));
    await rm(folder, { recursive: true, force: true });
  });
  for (const node of [1, 2, 3] as const) {
    const settings = join(folder, `${node}.properties`);
    const data = join(folder, `log-${node}`);
    await writeFile(settings, renderSettings({ node, data, ports }));
    processes.push(await prepareBroker({ node, port: ports[node], settings, folder, jars }));
  }
  await Promise.all(processes.map((process) => process.start()));
  return { brokers: [1, 2, 3].map((node) => `127.0.0.1:${ports[node as 1 | 2 | 3]}`), processes };
}

/** Formats the storage of one broker and describes its process. `format`: more arguments of the storage tool. */
export async function prepareBroker(broker: {
  node: number;
  port: number;
  settings: string;
  folder: string;
  jars: string;
  format?: readonly string[];
}): Promise<Supervised> {
  const { node, port, settings, folder, format: more = [] } = broker;
  const java = findProgram("java") ?? "java";
  const base = [...JVM_OPTIONS, "-cp", join(broker.jars, "*")];
  const env = { PATH: process.env.PATH ?? "", LANG: "C.UTF-8" };
  const format = ["kafka.tools.StorageTool", "format", `--cluster-id=${CLUSTER_ID}`];
  await runProgram(java, [...base, ...format, ...more, "-c", settings], {
    timeoutMs: FORMAT_TIMEOUT_MS,
    env,
  });
  return supervise(
    {
      name: `kafka-${node}`,
      command: java,
      args: [...base, "kafka.Kafka", settings],
      env,
      cwd: folder,
      logFile: join(folder, `kafka-${node}.log`),
      marker: settings,
      stopSignal: "SIGKILL",
      deathSignal: "SIGKILL",
      stopTimeoutMs: 5_000,
      isReady: () => isListening(port),
      readyTimeoutMs: 90_000,
    },
    { runFolder: folder, report() {} },
  );
}

function renderSettings(broker: {
  node: number;
  data: string;
  ports: Readonly<Record<string, number>>;
}): string {
  const { node, data, ports } = broker;
  const controls = node === 1;
  const controller = `CONTROLLER://127.0.0.1:${ports.controller}`;
  return `process.roles=${controls ? "broker,controller" : "broker"}
node.id=${node}
controller.quorum.voters=1@127.0.0.1:${ports.controller}
listeners=PLAINTEXT://127.0.0.1:${ports[node]}${controls ? `,${controller}` : ""}
advertised.listeners=PLAINTEXT://127.0.0.1:${ports[node]}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${data}
auto.create.topics.enable=false
offsets.topic.replication.factor=${COPIES}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=${COPIES}
transaction.state.log.min.isr=2
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
replica.lag.time.max.ms=4000
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
`;
}
