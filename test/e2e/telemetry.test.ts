/**
 * What a collector and a Prometheus see of a running system: one trace from the request to the readable message, on every
 * dialect and through Kafka; metrics by their names; nothing secret in any of it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { requestIdOf } from "@headgate/gateway/dialects/mattermost/id";
import { ATTR, METRIC, OUR_METRIC, OURS } from "@headgate/kit/semconv";
import type { System } from "@headgate/local/system";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type OtlpSink, openOtlpSink, type SinkSpan } from "../support/otlp-sink.ts";
import { renderTree, spansOf } from "../support/span-tree.ts";
import { useRunningSystem } from "../support/system.ts";

const API = "/api/headgate/v1";
/** Where the services' rpcs are, as spans and metrics name them. */
const ADMIT = "headgate.ratelimiter.v1.RateLimiterService/Admit";
const PEEK = "headgate.ratelimiter.v1.RateLimiterService/Peek";
const RESOLVE = "headgate.registry.v1.RegistryService/ResolveHook";
/** A caller's trace, which ours is linked to and never a part of. */
const CALLER = { traceId: "c".repeat(32), spanId: "d".repeat(16) };
/** In every text that is posted: must be in no span, metric or line. */
const TEXT = "xylophone";

let sink: OtlpSink;
let system: System;

beforeAll(async () => {
  sink = await openOtlpSink();
  system = await useRunningSystem(
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
    },
    { logLevel: "debug" },
  );
  // The first of each is not like the others: numbers are reserved, connections opened.
  for (const url of Object.values(system.demo.hooks)) await settled(await post(url));
});
afterAll(() => sink?.[Symbol.asyncDispose]());

type Posted = { readonly status: number; readonly requestId: string; readonly body: unknown };

// biome-ignore lint/suspicious/noExplicitAny: the JSON of any answer; what a test expects of it, it says
type Asked = { readonly requestId: string; readonly body: any };

async function post(url: string, headers: Record<string, string> = {}): Promise<Posted> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ text: `${TEXT} ${crypto.randomUUID()}` }),
  });
  const text = await answer.text();
  const body = answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
  return { status: answer.status, requestId: answer.headers.get("x-request-id") ?? "", body };
}

/**
 * Waits until the trace of an accepted request is here to its end, and gives its spans. Each process sends its own in its
 * own time.
 */
async function settled({ requestId }: Pick<Posted, "requestId">): Promise<SinkSpan[]> {
  return eventually(() => {
    const root = sink.spans.find(
      ({ traceId, parentSpanId }) =>
        parentSpanId === "" && (traceId === requestId || requestIdOf(traceId) === requestId),
    );
    const spans = root ? spansOf(sink.spans, root.traceId) : [];
    expect(spans.map(({ name }) => name)).toContain("send chat.posted.v1");
    const process = named(spans, "process chat.requested.v1");
    const poll = sink.spans.find(({ spanId }) => spanId === process.links[1]?.spanId);
    expect(sink.spans.some(({ parentSpanId }) => parentSpanId === poll?.spanId)).toBe(true);
    expect(spans.filter((span) => isUnanswered(span, spans)).map(({ name }) => name)).toEqual([]);
    return spans;
  });
}

/** Whether a span is a call whose other side is not here yet. */
function isUnanswered({ kind, spanId, attributes }: SinkSpan, spans: readonly SinkSpan[]): boolean {
  const isCall = kind === "client" && ATTR.rpcMethod in attributes;
  return isCall && !spans.some(({ parentSpanId }) => parentSpanId === spanId);
}

function named(spans: readonly SinkSpan[], name: string, kind?: SinkSpan["kind"]): SinkSpan {
  const found = spans.find((span) => span.name === name && (!kind || span.kind === kind));
  if (!found) throw new Error(`no span ${name} among ${spans.map((span) => span.name)}`);
  return found;
}

/** Asks the native API as the administrator. @throws Error with the answer when it is no 2xx */
async function ask(method: string, path: string, body?: object): Promise<Asked> {
  const answer = await fetch(`${system.url}${API}${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${system.demo.admin.token}`,
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return { requestId: answer.headers.get("x-request-id") ?? "", body: await answer.json() };
}

/** Lines of a service's log that belong to a trace. */
function linesOf(service: string, traceId: string): Record<string, unknown>[] {
  const text = readFileSync(join(system.logFolder, `${service}.log`), "utf8");
  const lines = text.split("\n").filter((line) => line.includes(traceId));
  return lines.map((line) => JSON.parse(line));
}

/** What follows the root of every accepted request. */
const ACCEPTED = [
  "  gateway producer send chat.requested.v1",
  "    chat consumer process chat.requested.v1",
  "      chat client INSERT chat.messages",
  "      chat producer send chat.posted.v1",
];
/** A budget asked for and counted. */
const ADMITTED = [
  `  gateway client ${ADMIT}`,
  `    rate-limiter server ${ADMIT}`,
  "      rate-limiter client EVALSHA take",
];

/** The budget of the client address, looked at before the registry is asked for an unknown credential. */
const PEEKED = [
  `  gateway client ${PEEK}`,
  `    rate-limiter server ${PEEK}`,
  "      rate-limiter client EVALSHA peek",
];

describe("one trace from the request to the readable message", () => {
  test("native: without budgets, four services' worth of spans in one tree", async () => {
    const answer = await post(system.demo.hooks.headgate);
    expect(answer.status).toBe(202);
    const spans = await settled(answer);
    expect(renderTree(spans)).toEqual(["gateway server POST /in/{token}", ...ACCEPTED]);
    expect(spans[0]?.traceId).toBe(answer.requestId);
  });

  test("native: with limits of its own, the rate-limiter's spans are in the tree", async () => {
    const hook = await ask("POST", "/incoming-hooks", {
      dialect: "headgate",
      action: "chat_message",
      name: "limited",
      target: { channel_id: system.demo.channel.id },
      limits: { per_minute: 600, burst: 100 },
    });
    const spans = await settled(await post(hook.body.url));
    // The registry is asked only when the news of the hook has not come yet.
    const tree = renderTree(spans).filter((line) => !/registry|ResolveHook|peek/i.test(line));
    expect(tree).toEqual(["gateway server POST /in/{token}", ...ADMITTED, ...ACCEPTED]);
    expect(named(spans, ADMIT, "server").attributes).toMatchObject({
      [OURS.rateLimitDecision]: "admitted",
      [ATTR.rpcStatus]: "OK",
    });
  });

  test("Mattermost", async () => {
    const answer = await post(system.demo.hooks.mattermost);
    expect(answer.status).toBe(200);
    const spans = await settled(answer);
    expect(renderTree(spans)).toEqual(["gateway server POST /hooks/{id}", ...ACCEPTED]);
    expect(requestIdOf(spans[0]?.traceId ?? "")).toBe(answer.requestId);
  });

  test("Monotree: every request takes from a budget", async () => {
    const answer = await post(system.demo.hooks.monotree);
    expect(answer.status).toBe(201);
    const spans = await settled(answer);
    expect(renderTree(spans)).toEqual([
      "gateway server POST /api/open/v1/incoming/{token}",
      ...ADMITTED,
      ...ACCEPTED,
    ]);
    expect(spans[0]?.traceId).toBe(answer.requestId);
  });

  test("an unknown token: its client's budget, then the registry is asked, and nothing is published", async () => {
    const unknown = `${system.url}/in/hgi_${"z".repeat(43)}`;
    const answer = await post(unknown);
    expect(answer.status).toBe(404);
    const spans = await eventually(() => {
      const found = spansOf(sink.spans, answer.requestId);
      expect(found.some(({ parentSpanId }) => parentSpanId === "")).toBe(true);
      expect(found.length).toBeGreaterThanOrEqual(10);
      return found;
    });
    expect(renderTree(spans)).toEqual([
      "gateway server POST /in/{token}",
      ...PEEKED,
      `  gateway client ${RESOLVE}`,
      `    registry server ${RESOLVE}`,
      "      registry client SELECT registry.hook_credentials",
      ...ADMITTED,
    ]);
    const [asked, served] = [named(spans, RESOLVE, "client"), named(spans, RESOLVE, "server")];
    expect(asked.attributes[ATTR.rpcStatus]).toBe("NOT_FOUND");
    expect([asked.isError, served.isError]).toEqual([true, false]);
    const root = named(spans, "POST /in/{token}");
    expect(root.isError).toBe(false);
    expect(root.attributes).toMatchObject({
      [ATTR.httpStatus]: 404,
      [OURS.outcome]: "refused",
      [OURS.reason]: "hook_unknown",
    });
  });

  test("a management call: its route, its rpcs, its id", async () => {
    const { id } = system.demo.channel;
    const { requestId } = await ask("GET", `/channels/${id}`);
    const spans = await eventually(() => {
      const found = spansOf(sink.spans, requestId);
      expect(found.some(({ parentSpanId }) => parentSpanId === "")).toBe(true);
      return found;
    });
    expect(named(spans, `GET ${API}/channels/{channel_id}`).kind).toBe("server");
  });
});

describe("spans say what the conventions want", () => {
  let spans: SinkSpan[];
  let poll: SinkSpan;
  let commit: SinkSpan;
  let traceId: string;

  beforeAll(async () => {
    const traceparent = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
    const answer = await post(system.demo.hooks.monotree, { traceparent, baggage: "a=b" });
    spans = await settled(answer);
    traceId = answer.requestId;
    const work = named(spans, "process chat.requested.v1");
    poll = named(
      sink.spans.filter(({ spanId }) => spanId === work.links[1]?.spanId),
      "poll chat.requested.v1",
    );
    commit = named(
      sink.spans.filter(({ parentSpanId }) => parentSpanId === poll.spanId),
      "commit chat.requested.v1",
    );
  });

  test("a caller's trace is a link and not the parent", () => {
    const root = named(spans, "POST /api/open/v1/incoming/{token}");
    expect(root.parentSpanId).toBe("");
    expect(root.traceId).not.toBe(CALLER.traceId);
    expect(root.links).toEqual([CALLER]);
    expect(sink.spans.some((span) => span.traceId === CALLER.traceId)).toBe(false);
  });

  test("the request: method, route, status, no token, what became of it", () => {
    expect(named(spans, "POST /api/open/v1/incoming/{token}").attributes).toEqual({
      [ATTR.httpMethod]: "POST",
      [ATTR.httpRoute]: "/api/open/v1/incoming/{token}",
      [ATTR.urlPath]: "/api/open/v1/incoming/REDACTED",
      [ATTR.urlScheme]: "http",
      [ATTR.httpStatus]: 201,
      [OURS.dialect]: "monotree",
      [OURS.action]: "chat_message",
      [OURS.outcome]: "accepted",
    });
  });

  test("rpcs: system, method, status, and whom the client called", () => {
    const common = {
      [ATTR.rpcSystem]: "grpc",
      [ATTR.rpcMethod]: ADMIT,
      [ATTR.rpcStatus]: "OK",
    };
    expect(named(spans, ADMIT, "client").attributes).toEqual({
      ...common,
      [ATTR.serverAddress]: "127.0.0.1",
      [ATTR.serverPort]: expect.any(Number),
    });
    expect(named(spans, ADMIT, "server").attributes).toEqual({
      ...common,
      [OURS.rateLimitDecision]: "admitted",
    });
  });

  test("Redis and PostgreSQL: the summary is the name, the text has no values", () => {
    expect(named(spans, "EVALSHA take").attributes).toMatchObject({
      [ATTR.dbSystem]: "redis",
      [ATTR.dbQuerySummary]: "EVALSHA take",
    });
    const insert = named(spans, "INSERT chat.messages").attributes;
    expect(insert).toMatchObject({
      [ATTR.dbSystem]: "postgresql",
      [ATTR.dbQuerySummary]: "INSERT chat.messages",
      [ATTR.dbCollection]: "chat.messages",
    });
    expect(insert[ATTR.dbQueryText]).toMatch(/unnest\(\$1/);
  });

  test("Kafka: operation, its type, topic, group, client, and the record's id, key and place", () => {
    const of = (topic: string, operation: string, type: string) => ({
      [ATTR.messagingSystem]: "kafka",
      [ATTR.messagingDestination]: topic,
      [ATTR.messagingOperation]: operation,
      [ATTR.messagingOperationType]: type,
    });
    const send = named(spans, "send chat.requested.v1").attributes;
    expect(send).toMatchObject({
      ...of("chat.requested.v1", "send", "send"),
      [ATTR.messagingClientId]: "gateway",
      [ATTR.kafkaKey]: system.demo.channel.id,
      [ATTR.messagingMessageId]: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const chat = { [ATTR.messagingGroup]: "chat", [ATTR.messagingClientId]: "chat" };
    expect(poll.attributes).toMatchObject({
      ...of("chat.requested.v1", "poll", "receive"),
      ...chat,
      [ATTR.messagingBatchCount]: 1,
    });
    expect(named(spans, "process chat.requested.v1").attributes).toMatchObject({
      ...of("chat.requested.v1", "process", "process"),
      ...chat,
      [ATTR.messagingPartition]: expect.stringMatching(/^\d+$/),
      [ATTR.messagingMessageId]: send[ATTR.messagingMessageId],
      [ATTR.kafkaKey]: system.demo.channel.id,
      [ATTR.kafkaOffset]: expect.any(Number),
      [OURS.dialect]: "monotree",
      [OURS.action]: "chat_message",
      [OURS.outcome]: "done",
    });
    expect(commit.attributes).toMatchObject({
      ...of("chat.requested.v1", "commit", "settle"),
      ...chat,
    });
    expect(named(spans, "send chat.posted.v1").attributes).toMatchObject({
      ...of("chat.posted.v1", "send", "send"),
      [ATTR.messagingClientId]: "chat",
      [ATTR.messagingMessageId]: send[ATTR.messagingMessageId],
    });
  });

  test("poll and commit are a trace of their own, linked with what was read", () => {
    const send = named(spans, "send chat.requested.v1");
    const idOf = ({ traceId, spanId }: SinkSpan) => ({ traceId, spanId });
    expect(poll.parentSpanId).toBe("");
    expect(poll.traceId).not.toBe(traceId);
    expect([poll.kind, commit.kind]).toEqual(["client", "client"]);
    expect(poll.links).toEqual([idOf(send)]);
    expect(named(spans, "process chat.requested.v1").links).toEqual([idOf(send), idOf(poll)]);
    expect(commit.traceId).toBe(poll.traceId);
  });

  test("the message can be read under the id that the spans name", async () => {
    const id = named(spans, "process chat.requested.v1").attributes[ATTR.messagingMessageId];
    const { body } = await ask("GET", `/channels/${system.demo.channel.id}/messages?limit=50`);
    expect(body.data.map((message: { id: string }) => message.id)).toContain(id);
  });

  test("each process says who it is", async () => {
    await eventually(() => sink.resources.size === 4);
    for (const service of ["gateway", "chat", "rate-limiter", "registry"]) {
      expect(sink.resources.get(service)).toMatchObject({
        "service.name": service,
        "service.namespace": "headgate",
        "service.version": expect.stringMatching(/^\d+\.\d+\.\d+/),
        "service.instance.id": expect.any(String),
      });
    }
  });

  test("lines of the log carry the ids of the trace", async () => {
    const root = named(spans, "POST /api/open/v1/incoming/{token}");
    const work = named(spans, "process chat.requested.v1");
    await eventually(() => {
      expect(linesOf("gateway", traceId)).toContainEqual(
        expect.objectContaining({ trace_id: traceId, span_id: root.spanId, outcome: "accepted" }),
      );
      expect(linesOf("chat", traceId)).toContainEqual(
        expect.objectContaining({ trace_id: traceId, span_id: work.spanId, trace_flags: "01" }),
      );
    });
  });

  test("probes and empty looks make no spans: every trace begins with a request, a poll or an rpc", () => {
    const roots = sink.spans.filter(({ parentSpanId }) => parentSpanId === "");
    const others = roots.filter(({ kind, name }) => kind !== "server" || !name.includes(" /"));
    const known = [
      "poll chat.requested.v1",
      "headgate.registry.v1.RegistryService/TouchHooks", // of many requests, now and then
    ];
    expect(others.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([]);
  });
});

describe("metrics", () => {
  /** What every service has. */
  const RUNTIME = [
    "nodejs_eventloop_delay_p99_seconds",
    "nodejs_eventloop_utilization_ratio",
    "v8js_gc_duration_seconds_bucket",
    "v8js_memory_heap_used_bytes",
    "otel_sdk_processor_span_queue_size",
    "otel_sdk_processor_span_processed_total",
    "otel_sdk_exporter_span_exported_total",
  ];
  const KAFKA = [
    "messaging_client_operation_duration_seconds_bucket",
    "messaging_client_sent_messages_total",
  ];
  const POSTGRES = [
    "db_client_operation_duration_seconds_bucket",
    "db_client_connection_count",
    "db_client_connection_pending_requests",
    "db_client_connection_limit",
    "db_client_connection_wait_time_seconds_bucket",
  ];

  test.each([
    [
      "gateway",
      [
        ...KAFKA,
        "headgate_ingest_events_total",
        "headgate_rate_limit_decisions_total",
        "http_server_request_duration_seconds_bucket",
        "rpc_client_call_duration_seconds_bucket",
        "messaging_client_consumed_messages_total",
      ],
    ],
    [
      "chat",
      [
        ...KAFKA,
        ...POSTGRES,
        "headgate_event_readable_duration_seconds_bucket",
        "headgate_consumer_lag",
        "headgate_consumer_lag_age_seconds",
        "headgate_consumer_rebalances_total",
        "headgate_record_outcomes_total",
        "messaging_client_consumed_messages_total",
        "messaging_process_duration_seconds_bucket",
        "rpc_server_call_duration_seconds_bucket",
      ],
    ],
    [
      "registry",
      [
        ...KAFKA,
        ...POSTGRES,
        "headgate_outbox_pending",
        "headgate_outbox_oldest_age_seconds",
        "rpc_server_call_duration_seconds_bucket",
      ],
    ],
    [
      "rate-limiter",
      [
        "headgate_rate_limit_decisions_total",
        "headgate_rate_limit_degraded",
        "rpc_server_call_duration_seconds_bucket",
        "db_client_operation_duration_seconds_bucket",
      ],
    ],
  ] as const)("%s shows Prometheus what is promised", async (service, names) => {
    await eventually(async () => {
      const answer = await fetch(`${system.opsUrls[service]}/metrics`);
      expect(answer.headers.get("content-type")).toContain("version=0.0.4");
      const shown = new Set((await answer.text()).match(/^[a-z_0-9]+(?=[{ ])/gm));
      expect([...RUNTIME, ...names].filter((name) => !shown.has(name))).toEqual([]);
    });
  });

  test("events, lag, outcomes and decisions are counted under their labels", async () => {
    const shows = (service: "gateway" | "chat" | "rate-limiter", line: RegExp) =>
      eventually(async () => {
        const answer = await fetch(`${system.opsUrls[service]}/metrics`);
        expect(await answer.text()).toMatch(line);
      });
    for (const dialect of ["headgate", "mattermost", "monotree"]) {
      await shows(
        "gateway",
        new RegExp(
          `headgate_ingest_events_total\\{headgate_dialect="${dialect}",headgate_action="chat_message",headgate_outcome="accepted"\\} [1-9]`,
        ),
      );
    }
    await shows("chat", /headgate_record_outcomes_total\{.*headgate_outcome="done".*\} [1-9]/);
    await shows(
      "chat",
      /headgate_consumer_lag\{messaging_consumer_group_name="chat",messaging_destination_name="chat\.requested\.v1",.*\} \d/,
    );
    await shows(
      "rate-limiter",
      /headgate_rate_limit_decisions_total\{headgate_rate_limit_decision="admitted",headgate_rate_limit_mode="redis"\} [1-9]/,
    );
  });

  test("every name that is emitted, of a metric or of an attribute, is in semconv.ts", async () => {
    const seen = () => [...sink.metrics.values()].flatMap((one) => [...one]);
    await eventually(() => sink.metrics.size === 4 && seen().length > 50);
    const names = new Set<string>([...Object.values(METRIC), ...Object.values(OUR_METRIC)]);
    const keys = new Set<string>([...Object.values(ATTR), ...Object.values(OURS)]);
    const metrics = seen();
    const used = [
      ...metrics.flatMap(([, sets]) => sets.flatMap(Object.keys)),
      ...sink.spans.flatMap(({ attributes }) => Object.keys(attributes)),
    ];
    expect(metrics.map(([name]) => name).filter((name) => !names.has(name))).toEqual([]);
    expect([...new Set(used)].filter((key) => !keys.has(key))).toEqual([]);
  });

  test("no attribute of a metric is an id, a token, a host or a port", () => {
    for (const [service, metrics] of sink.metrics) {
      for (const [name, sets] of metrics) {
        const values = sets.flatMap((attributes) => Object.values(attributes).map(String));
        const odd = values.filter((value) => /[0-9a-f]{12}|\d+\.\d+\.\d+\.\d+|hgi?_/.test(value));
        expect([service, name, odd]).toEqual([service, name, []]);
        expect(sets.length).toBeLessThan(300);
      }
    }
  });
});

test("no token, secret or text is in anything that was exported", () => {
  const { hooks, admin, person } = system.demo;
  const tokens = Object.values(hooks).map((url) => new URL(url).pathname.split("/").at(-1));
  const secrets = [...tokens, admin.token, admin.password, person.token, TEXT, "z".repeat(43)];
  for (const secret of secrets) {
    expect(secret).toBeTruthy();
    expect(sink.bodies.some((body) => body.includes(secret ?? ""))).toBe(false);
  }
});
