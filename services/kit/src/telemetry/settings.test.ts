import { expect, test } from "vitest";
import { readTelemetrySettings } from "./settings.ts";

const OFF = { traces: undefined, metrics: undefined, faults: [] };

test("asks for nothing when nothing is set", () => {
  expect(readTelemetrySettings({})).toEqual(OFF);
});

test("turns both on for a common endpoint, and keeps its origin alone", () => {
  const { traces, metrics } = readTelemetrySettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://user:secret@collector:4318/base/?key=secret",
  });
  expect(traces).toEqual({ origin: "http://collector:4318", protocol: "http/protobuf" });
  expect(metrics).toEqual(traces);
});

test("takes a signal's own settings before the common ones", () => {
  const { traces, metrics, faults } = readTelemetrySettings({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://tempo:4318/custom",
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
  });
  expect(traces).toEqual({ origin: "http://tempo:4318", protocol: "http/json" });
  expect(metrics).toBeUndefined();
  expect(faults).toEqual([]);
});

test.each([
  { OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318" },
  {
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318",
  },
  { OTEL_METRICS_EXPORTER: "prometheus" },
])("stays off for %j", (env) => {
  expect(readTelemetrySettings(env)).toEqual(OFF);
});

test("is on for an exporter named alone, with the standard endpoint", () => {
  const { traces, metrics } = readTelemetrySettings({ OTEL_TRACES_EXPORTER: "otlp" });
  expect(traces?.origin).toBe("http://localhost:4318");
  expect(metrics).toBeUndefined();
});

test("names every value that makes no sense, and stays off where it does not know where to send", () => {
  const { traces, metrics, faults } = readTelemetrySettings({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "collector:4318",
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://collector:4318/v1/metrics",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
  });
  expect(faults).toHaveLength(2);
  expect(traces).toBeUndefined();
  expect(metrics?.protocol).toBe("http/protobuf");
});
