/**
 * Why a broker or we refuse a connection for good: failures that pass with no retry, only with another setting or another
 * setup of the broker. They are retried all the same, because that may be mended there, but logged in words that name
 * the setting.
 */

import type { Log } from "../log.ts";

/** Logs a failure when it is a refusal: at most once a minute per cause. */
export type ReportRefusal = (thrown: unknown, fields?: Readonly<Record<string, unknown>>) => void;

/** ms between two lines of one cause. */
const REPORT_EVERY_MS = 60_000;

/** No cause reported yet. */
export function createReportRefusal(log: Log): ReportRefusal {
  const reportedAt = new Map<string, number>();
  return function reportRefusal(thrown, fields = {}) {
    const refusal = explainRefusal(thrown);
    if (!refusal) return;
    const cause = `${refusal.settings} ${refusal.message}`;
    const now = performance.now();
    if (now - (reportedAt.get(cause) ?? Number.NEGATIVE_INFINITY) < REPORT_EVERY_MS) return;
    reportedAt.set(cause, now);
    log.error("log.connection_refused", { ...fields, ...refusal, error: thrown });
  };
}

/** The settings to look at, and what is wrong. */
export type Refusal = { readonly settings: string; readonly message: string };

/** What a failed connection means; undefined for what passes by itself (no broker there, no answer in time). */
export function explainRefusal(thrown: unknown): Refusal | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code } = thrown as Error & { code?: unknown };
  if (thrown instanceof UnsupportedVersion) {
    return { settings: "KAFKA_BROKERS", message: thrown.message };
  }
  const sasl = explainSasl(thrown, code);
  if (sasl) return sasl;
  if (typeof code === "number" && NOT_ALLOWED.has(code)) {
    return {
      settings: "KAFKA_SASL_USERNAME",
      message: "the broker's access rules do not allow this user to do that",
    };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return {
      settings: "KAFKA_TLS_SERVERNAME",
      message: "the broker's certificate is for another name",
    };
  }
  if (typeof code === "string" && UNTRUSTED.has(code)) {
    return { settings: "KAFKA_TLS_CA_FILE", message: "the broker's certificate is not trusted" };
  }
  const isTlsFailure = typeof code === "string" && /^(ERR_SSL_|ERR_TLS_|EPROTO$)/.test(code);
  if (isTlsFailure || /before secure TLS connection/.test(thrown.message)) {
    return {
      settings: "KAFKA_TLS_ENABLED, KAFKA_TLS_CERT_FILE",
      message: "the TLS handshake with the broker failed",
    };
  }
  return undefined;
}

function explainSasl(thrown: Error, code: unknown): Refusal | undefined {
  if (code === 33 || /mechanism is not supported/.test(thrown.message)) {
    return {
      settings: "KAFKA_SASL_MECHANISM",
      message: "the broker does not offer this mechanism",
    };
  }
  if (code === 34) {
    return { settings: "KAFKA_SASL_MECHANISM", message: "this listener of the broker has no SASL" };
  }
  // kafkajs gives the same name to a connection that broke while it authenticated.
  const isRefused = !/connection|connected|did not answer/i.test(thrown.message);
  return thrown.name === "KafkaJSSASLAuthenticationError" && isRefused
    ? {
        settings: "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD",
        message: "the broker refused this user or its password",
      }
    : undefined;
}

/** Error codes of a broker's access rules: for a topic 29, a group 30, the cluster 31. */
const NOT_ALLOWED: ReadonlySet<number> = new Set([29, 30, 31]);

/** The broker does not speak a version of a request that we need. */
export class UnsupportedVersion extends Error {
  override readonly name = "UnsupportedVersion";
}

/** Codes of Node for certificates that no authority of ours vouches for, or not now. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_SIGNATURE_FAILURE",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
