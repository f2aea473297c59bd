import { createServer, type Server } from "node:http";
import {
  counter,
  histogram,
  openTelemetry,
  startSpan,
  tracing,
  withSpan,
} from "@headgate/kit/telemetry";
import { VERSION } from "@headgate/kit/version";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";

afterEach(() => vi.unstubAllEnvs());

type Received = { path: string | undefined; type: string | undefined; body: Buffer };

/** A collector that keeps all it is sent. */
async function openCollector(): Promise<{
  url: string;
  received: Received[];
  /** Answers so from now on; undefined: never. */
  answer(status: number | undefined): void;
}> {
  let status: number | undefined = 200;
  const received: Received[] = [];
  const server: Server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    received.push({
      path: req.url,
      type: req.headers["content-type"],
      body: Buffer.concat(chunks),
    });
    if (status !== undefined) res.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    answer: (next) => {
      status = next;
    },
  };
}

/** Opens it with these settings in the process's own environment, where the SDK reads them. */
async function open(env: Record<string, string>) {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const { log, lines } = createCollectedLog();
  const options = { service: "gateway", env: process.env, log };
  const telemetry = await openTelemetry(options);
  return { telemetry, lines };
}

test("traces nothing when nothing is asked for", async () => {
  const { telemetry } = await open({});
  expect(tracing()).toBe(false);
  await telemetry[Symbol.asyncDispose]();
});

test("sends whole traces as OTLP/JSON, with what describes the process", async () => {
  const { url, received } = await openCollector();
  const { telemetry } = await open({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/v1/traces`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
  });
  const caller = { traceId: "c".repeat(32), spanId: "d".repeat(16), sampled: true };
  const root = startSpan("POST /in/{token}", { kind: "server", root: true, links: [caller] });
  withSpan(root, () => {
    const child = startSpan("send chat.requested.v1", { kind: "producer", attributes: { n: 1 } });
    child.fail(new TypeError("x"));
    child.end();
  });
  root.end();
  await telemetry[Symbol.asyncDispose]();
  expect(tracing()).toBe(false);

  expect(received.map((one) => [one.path, one.type])).toEqual([["/v1/traces", "application/json"]]);
  const { resourceSpans } = JSON.parse(received[0]?.body.toString() ?? "");
  const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });
  expect(resourceSpans[0].resource.attributes).toEqual(
    expect.arrayContaining([
      attribute("service.name", "gateway"),
      attribute("service.namespace", "headgate"),
      attribute("service.version", VERSION),
    ]),
  );
  const [child, parent] = resourceSpans[0].scopeSpans[0].spans;
  expect(parent).toMatchObject({
    name: "POST /in/{token}",
    kind: 2,
    traceId: root.context?.traceId,
    links: [{ traceId: caller.traceId, spanId: caller.spanId }],
    status: {},
  });
  expect(child).toMatchObject({
    kind: 4,
    traceId: parent.traceId,
    parentSpanId: parent.spanId,
    status: { code: 2 },
    attributes: [{ key: "n", value: { intValue: 1 } }, attribute("error.type", "TypeError")],
  });
});

test("sends spans and metrics as protobuf unless told otherwise", async () => {
  const { url, received } = await openCollector();
  const { telemetry } = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: url });
  counter("test.telemetry.events").add(1);
  startSpan("a name to be found", { root: true }).end();
  await telemetry[Symbol.asyncDispose]();
  const of = (path: string) => received.find((one) => one.path === path);
  expect(of("/v1/traces")?.type).toBe("application/x-protobuf");
  expect(of("/v1/traces")?.body.includes("a name to be found")).toBe(true);
  expect(of("/v1/metrics")?.body.includes("test.telemetry.events")).toBe(true);
});

test("sends metrics as JSON to their own endpoint, with what the environment says of the process", async () => {
  const { url, received } = await openCollector();
  const { telemetry } = await open({
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${url}/own/path`,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "http/json",
    OTEL_RESOURCE_ATTRIBUTES: "k8s.pod.name=p%2C1,service.namespace=other",
  });
  expect(tracing()).toBe(false);
  counter("test.telemetry.sent").add(2, { kind: "k" });
  histogram("test.telemetry.took", { bounds: [1, 10] }).record(3);
  await telemetry[Symbol.asyncDispose]();
  expect(received.map((one) => one.path)).toEqual(["/own/path"]);
  const { resourceMetrics } = JSON.parse(received[0]?.body.toString() ?? "");
  const [{ resource, scopeMetrics }] = resourceMetrics;
  expect(resource.attributes).toEqual(
    expect.arrayContaining([
      { key: "k8s.pod.name", value: { stringValue: "p,1" } },
      { key: "service.namespace", value: { stringValue: "other" } },
    ]),
  );
  const named = (name: string) =>
    scopeMetrics[0].metrics.find((metric: { name: string }) => metric.name === name);
  expect(named("test.telemetry.sent").sum).toMatchObject({
    aggregationTemporality: 2,
    isMonotonic: true,
    dataPoints: [{ asDouble: 2, attributes: [{ key: "kind", value: { stringValue: "k" } }] }],
  });
  expect(named("test.telemetry.took").histogram.dataPoints[0]).toMatchObject({
    count: 1,
    sum: 3,
    bucketCounts: [0, 1, 0],
    explicitBounds: [1, 10],
  });
});

test("goes on with defaults where a setting makes no sense, and names it without its value", async () => {
  const { url, received } = await openCollector();
  const { telemetry, lines } = await open({
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_METRICS_EXPORTER: "none",
    OTEL_TRACES_SAMPLER: "sometimes-secret",
    OTEL_BSP_MAX_QUEUE_SIZE: "-1",
    OTEL_BSP_SCHEDULE_DELAY: "soon-secret",
  });
  startSpan("x", { root: true }).end();
  await telemetry[Symbol.asyncDispose]();
  expect(received).toHaveLength(1);
  const text = JSON.stringify(lines);
  for (const name of ["OTEL_TRACES_SAMPLER", "MAX_QUEUE_SIZE", "SCHEDULE_DELAY"]) {
    expect(text).toContain(name);
  }
  expect(text).not.toContain("secret");
});

test("says once that the collector is away and once that it is back", async () => {
  const collector = await openCollector();
  collector.answer(500);
  const { telemetry, lines } = await open({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
    OTEL_BSP_SCHEDULE_DELAY: "1",
  });
  for (const [status, count] of [
    [500, 2],
    [200, 4],
  ] as const) {
    collector.answer(status);
    await eventually(() => {
      startSpan("x", { root: true }).end();
      expect(collector.received.length).toBeGreaterThan(count);
    });
  }
  await telemetry[Symbol.asyncDispose]();
  expect(lines.map((line) => line.msg)).toEqual([
    "telemetry.collector_away",
    "telemetry.collector_back",
  ]);
});

test("says once that the collector is away, and ends within 5 s nevertheless", async () => {
  const { telemetry, lines } = await open({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://127.0.0.1:9/v1/traces",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_TIMEOUT: "3000",
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1",
  });
  // Each is tried for 3 s: all of them would take a minute.
  for (let at = 0; at < 20; at++) startSpan("x", { root: true }).end();
  await eventually(() => lines.length > 0);
  const startedMs = performance.now();
  startSpan("x", { root: true }).end();
  await telemetry[Symbol.asyncDispose]();
  expect(performance.now() - startedMs).toBeLessThan(20_000);
  expect(lines.map((line) => line.msg)).toEqual(["telemetry.collector_away"]);
});

test("ends within 5 s of a collector that never answers", async () => {
  const collector = await openCollector();
  collector.answer(undefined);
  const { telemetry } = await open({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_TIMEOUT: "60000",
  });
  startSpan("x", { root: true }).end();
  const startedMs = performance.now();
  await telemetry[Symbol.asyncDispose]();
  const tookMs = performance.now() - startedMs;
  expect(tookMs).toBeGreaterThan(4_000); // it did wait for it
  expect(tookMs).toBeLessThan(30_000); // half of what the exporter would
});
