import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLog } from "../log.ts";
import { createReportRefusal, explainRefusal, UnsupportedVersion } from "./refusals.ts";

/** An error as kafkajs throws it. */
function thrown(name: string, message: string, code?: string | number): Error {
  return Object.assign(new Error(message), { name, code });
}

const sasl = (message: string) => thrown("KafkaJSSASLAuthenticationError", message);
const connection = (message: string, code: string) =>
  thrown("KafkaJSConnectionError", message, code);
const protocol = (code: number) => thrown("KafkaJSProtocolError", "refused", code);

test.each([
  [sasl("SASL PLAIN authentication failed: Authentication failed"), "KAFKA_SASL_PASSWORD"],
  [sasl("SASL SCRAM SHA256 authentication failed: invalid credentials"), "KAFKA_SASL_PASSWORD"],
  [sasl("SASL PLAIN mechanism is not supported by the server"), "KAFKA_SASL_MECHANISM"],
  [protocol(33), "KAFKA_SASL_MECHANISM"],
  [protocol(34), "KAFKA_SASL_MECHANISM"],
  [protocol(29), "KAFKA_SASL_USERNAME"],
  [protocol(30), "KAFKA_SASL_USERNAME"],
  [protocol(31), "KAFKA_SASL_USERNAME"],
  [connection("Connection error", "SELF_SIGNED_CERT_IN_CHAIN"), "KAFKA_TLS_CA_FILE"],
  [connection("Connection error", "CERT_HAS_EXPIRED"), "KAFKA_TLS_CA_FILE"],
  [connection("Connection error", "ERR_TLS_CERT_ALTNAME_INVALID"), "KAFKA_TLS_SERVERNAME"],
  [connection("Connection error", "ERR_SSL_WRONG_VERSION_NUMBER"), "KAFKA_TLS_ENABLED"],
  [new UnsupportedVersion("the broker does not speak Produce"), "KAFKA_BROKERS"],
])("%s names the setting to look at", (error, setting) => {
  expect(explainRefusal(error)?.settings).toContain(setting);
});

test.each([
  [connection("Connection error: connect ECONNREFUSED", "ECONNREFUSED")],
  [connection("Connection timeout", "ETIMEDOUT")],
  [sasl("SASL PLAIN authentication failed: Closed connection")],
  [sasl("SASL PLAIN authentication failed: the broker did not answer within 5000 ms")],
  [protocol(6)],
  [new Error("the broker did not answer within 5000 ms")],
  ["a text"],
])("%s passes by itself: it is no refusal", (error) => {
  expect(explainRefusal(error)).toBeUndefined();
});

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("a refusal is logged once a minute per cause", () => {
  const lines: string[] = [];
  const report = createReportRefusal(createLog({ service: "test", write: (l) => lines.push(l) }));
  for (let at = 0; at < 50; at++) report(sasl("SASL PLAIN authentication failed: no"));
  report(protocol(29));
  report(protocol(6));
  expect(lines).toHaveLength(2);
  vi.advanceTimersByTime(60_001);
  report(protocol(29));
  expect(lines).toHaveLength(3);
});
