import { AppError } from "@headgate/kit/errors";
import { done, type KafkaAccess, openKafka, provisionTopics } from "@headgate/kit/kafka";
import { topics } from "@headgate/proto/topics";
import { expect, onTestFinished, test } from "vitest";
import { buildEvent } from "../support/builders.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { openForeignKafka } from "../support/foreign-kafka.ts";
import { startSecureKafka, USER } from "../support/secure-kafka.ts";

const MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
const TIMEOUT_MS = 300_000;

/** Opens our client and returns what it logs. */
async function open(access: KafkaAccess) {
  const { log, lines } = createCollectedLog();
  const kafka = await openKafka({ ...access, clientId: "test", log, publishTimeoutMs: 20_000 });
  onTestFinished(() => kafka[Symbol.asyncDispose]());
  return { kafka, log, lines };
}

/** Provisions a topic of its own, publishes and works one event. */
async function roundTrip(access: KafkaAccess, name: string): Promise<void> {
  const { kafka, log } = await open(access);
  const topic = { ...topics.chatRequested, name, partitions: 2 };
  await provisionTopics({ ...access, topics: [topic], groups: { [name]: [topic] }, log });
  const worked: string[] = [];
  const consumer = await kafka.consume(topic, name, async (events) => {
    worked.push(...events.map(({ id }) => id));
    return events.map(() => done);
  });
  onTestFinished(() => consumer[Symbol.asyncDispose]());
  const event = buildEvent();
  await kafka.publisher(topic)([event]);
  await eventually(() => worked.includes(event.id), { timeoutMs: 60_000 });
}

/** What is logged once the client was refused, and what provisioning says. */
async function refusalOf(access: KafkaAccess) {
  const { log, lines } = await open(access);
  const refusal = await eventually(
    () => lines.find(({ msg }) => msg === "log.connection_refused") ?? false,
    { timeoutMs: 60_000 },
  );
  const provisioned = provisionTopics({
    ...access,
    topics: [topics.chatRequested],
    groups: {},
    log,
  });
  const failure = await provisioned.then(() => undefined, AppError.from);
  expect(JSON.stringify(lines)).not.toContain(access.sasl?.password ?? "no password");
  return { settings: refusal.settings, reason: failure?.reason, message: failure?.message };
}

test("TLS and each SASL mechanism: provision, publish and consume; what is refused is logged with the setting", {
  timeout: TIMEOUT_MS,
}, async () => {
  const { saslTls, mutualTls, plain, authority } = await startSecureKafka();
  const brokers = [saslTls];
  const tls = { ca: authority.certificate };
  for (const mechanism of MECHANISMS) {
    await roundTrip({ brokers, tls, sasl: { mechanism, ...USER } }, `test.${mechanism}`);
  }
  const own = await authority.issue("headgate");
  const mutual = { ...tls, cert: own.certificate, key: own.key };
  await roundTrip({ brokers: [mutualTls], tls: mutual }, "test.mutual");

  const foreign = await openForeignKafka({
    brokers,
    ssl: { ca: authority.certificate },
    sasl: { mechanism: "scram-sha-512", ...USER },
  });
  const admin = await foreign.openAdmin();
  const listed = ["test.plain", "test.scram-sha-256", "test.scram-sha-512", "test.mutual"];
  expect(await admin.listTopics()).toEqual(expect.arrayContaining(listed));

  for (const mechanism of MECHANISMS) {
    const sasl = { mechanism, username: USER.username, password: "not the right one" };
    expect(await refusalOf({ brokers, tls, sasl })).toEqual({
      settings: "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD",
      reason: "log_refused",
      message: expect.stringContaining("see KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"),
    });
  }
  const sasl = { mechanism: "plain", ...USER } as const;
  const refused = [
    [{ brokers, tls: {}, sasl }, "KAFKA_TLS_CA_FILE"],
    [{ brokers, tls: { ...tls, servername: "kafka.example" }, sasl }, "KAFKA_TLS_SERVERNAME"],
    [{ brokers: [mutualTls], tls }, "KAFKA_TLS_ENABLED, KAFKA_TLS_CERT_FILE"],
    [{ brokers: [plain], sasl }, "KAFKA_SASL_MECHANISM"],
  ] as const;
  for (const [access, settings] of refused) {
    expect(await refusalOf(access)).toMatchObject({ settings, reason: "log_refused" });
  }
});
