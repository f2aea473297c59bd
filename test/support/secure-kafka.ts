/** A broker whose listeners ask for TLS and SASL, for tests of how we connect. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchJars } from "@headgate/local/parts/maven";
import { claimPorts } from "@headgate/local/ports";
import { onTestFinished } from "vitest";
import { createAuthority } from "./certificates.ts";
import { prepareBroker } from "./kafka-cluster.ts";

/** The user that every mechanism knows. */
export const USER = { username: "headgate", password: "secret-of-a-test" } as const;

/** The running broker; it ends with the test. */
export type SecureKafka = {
  /** SASL over TLS. */
  readonly saslTls: string;
  /** TLS that asks for a certificate of ours, without SASL. */
  readonly mutualTls: string;
  /** Neither. */
  readonly plain: string;
  /** The authority of the broker's certificate. */
  readonly authority: Awaited<ReturnType<typeof createAuthority>>;
};

/** Starts it and waits until it listens. */
export async function startSecureKafka(): Promise<SecureKafka> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-secure-"));
  const names = ["controller", "plain", "mutual", "sasl"] as const;
  const ports = await claimPorts(join(folder, "ports.json"), names);
  const authority = await createAuthority();
  const { certificate, key } = await authority.issue("broker");
  const settings = join(folder, "server.properties");
  const keyStore = join(folder, "broker.pem");
  const trustStore = join(folder, "ca.pem");
  await writeFile(keyStore, `${key}\n${certificate}`);
  await writeFile(trustStore, authority.certificate);
  await writeFile(settings, renderSettings({ folder, ports, keyStore, trustStore }));
  const jars = await fetchJars(
    "kafka",
    { name: "Kafka", setting: "KAFKA_BROKERS" },
    { report() {} },
  );
  const format = ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
    "--add-scram",
    `${mechanism}=[name=${USER.username},password=${USER.password}]`,
  ]);
  const broker = await prepareBroker({ node: 1, port: ports.sasl, settings, folder, jars, format });
  onTestFinished(async () => {
    await broker.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await broker.start();
  return {
    saslTls: `localhost:${ports.sasl}`,
    mutualTls: `localhost:${ports.mutual}`,
    plain: `localhost:${ports.plain}`,
    authority,
  };
}

function renderSettings(broker: {
  folder: string;
  ports: Readonly<Record<"controller" | "plain" | "mutual" | "sasl", number>>;
  keyStore: string;
  trustStore: string;
}): string {
  const { folder, ports, keyStore, trustStore } = broker;
  const at = (name: keyof typeof ports) => `localhost:${ports[name]}`;
  const clients = `PLAIN://${at("plain")},MUTUAL://${at("mutual")},SECURE://${at("sasl")}`;
  const plainUser = `user_${USER.username}="${USER.password}"`;
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@${at("controller")}
listeners=${clients},CONTROLLER://${at("controller")}
advertised.listeners=${clients}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,MUTUAL:SSL,SECURE:SASL_SSL
log.dirs=${join(folder, "log")}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
ssl.keystore.type=PEM
ssl.keystore.location=${keyStore}
ssl.truststore.type=PEM
ssl.truststore.location=${trustStore}
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ${plainUser};
listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
`;
}
