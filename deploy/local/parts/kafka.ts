/** A real Kafka broker, one node (KRaft), from its published jars. */
import { randomUUID } from "node:crypto";
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalFault } from "../fault.ts";
import { findProgram, runProgram } from "../programs.ts";
import { supervise } from "../supervise.ts";
import { isKafkaServing } from "./kafka-probe.ts";
import { fetchJars } from "./maven.ts";
import type { LocalPart, PartPlace } from "./part.ts";

const JVM_OPTIONS = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData"];
const FORMAT_TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 6_000;

/**
 * Prepares a broker that listens on 127.0.0.1 alone: fetches its jars, writes its settings, formats its storage once.
 * @throws LocalFault where Java or Maven is missing
 */
export async function prepareKafka(
  place: PartPlace,
  ports: { readonly broker: number; readonly controller: number },
): Promise<LocalPart> {
  const java = findProgram("java");
  if (!java) {
    throw new LocalFault(
      "Java is missing: install version 17 or newer (Debian: apt-get install default-jre-headless), or set KAFKA_BROKERS to a Kafka that runs elsewhere",
    );
  }
  const jars = await fetchJars("kafka", { name: "Kafka", setting: "KAFKA_BROKERS" }, place);
  const data = join(place.folder, "log");
  const settings = join(place.folder, "server.properties");
  const logging = join(place.folder, "log4j2.properties");
  await mkdir(place.folder, { recursive: true });
  await writeFile(settings, renderSettings(data, ports));
  await writeFile(logging, LOGGING);
  // Libraries that the broker unpacks stay behind when it is killed: they belong below its own folder.
  const unpacked = join(place.folder, "tmp");
  await mkdir(unpacked, { recursive: true });
  const base = [
    ...JVM_OPTIONS,
    `-Djava.io.tmpdir=${unpacked}`,
    `-Dlog4j2.configurationFile=${logging}`,
    "-cp",
    join(jars, "*"),
  ];
  const env = { PATH: process.env.PATH ?? "", LANG: "C.UTF-8" };
  const marker = join(place.folder, "formatted");
  await format({ java, base, settings, data, env, marker, signal: place.signal });
  const server = supervise(
    {
      name: "kafka",
      command: java,
      args: [...base, "kafka.Kafka", settings],
      env,
      cwd: place.folder,
      logFile: join(place.logFolder, "kafka.log"),
      marker: settings,
      stopSignal: "SIGTERM",
      // An orderly end may take a broker half a minute; data that is thrown away need not wait for it.
      deathSignal: place.throwaway ? "SIGKILL" : "SIGTERM",
      stopTimeoutMs: STOP_TIMEOUT_MS,
      isReady: () => isKafkaServing(ports.broker),
      readyTimeoutMs: READY_TIMEOUT_MS,
    },
    place,
  );
  return { address: `127.0.0.1:${ports.broker}`, process: server };
}

/** Formats the storage, once: a first try that was interrupted leaves no marker and is done over. */
async function format(options: {
  java: string;
  base: readonly string[];
  settings: string;
  data: string;
  env: Record<string, string>;
  marker: string;
  signal: AbortSignal | undefined;
}): Promise<void> {
  const formatted = await access(options.marker).then(
    () => true,
    () => false,
  );
  if (formatted) return;
  await rm(options.data, { recursive: true, force: true });
  const clusterId = Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64url");
  await runProgram(
    options.java,
    [
      ...options.base,
      "kafka.tools.StorageTool",
      "format",
      `--cluster-id=${clusterId}`,
      "-c",
      options.settings,
    ],
    { timeoutMs: FORMAT_TIMEOUT_MS, env: options.env, signal: options.signal },
  );
  await writeFile(options.marker, clusterId);
}

/**
 * One node: every factor that a cluster would set to 3 is 1. Topics are declared, never made by accident. A killed broker
 * must wait until its former self is given up (the session), so that is made short.
 */
function renderSettings(data: string, ports: { broker: number; controller: number }): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports.controller}
listeners=PLAINTEXT://127.0.0.1:${ports.broker},CONTROLLER://127.0.0.1:${ports.controller}
advertised.listeners=PLAINTEXT://127.0.0.1:${ports.broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${data.replaceAll("\\", "\\\\")}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
`;
}

const LOGGING = `rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n%throwable
`;
