/** A collector of OTLP/HTTP for tests: keeps spans and metrics that come as JSON, in a form that a test can compare. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Attributes with their values as they were recorded. */
export type SinkAttributes = Record<string, string | number | boolean>;

/** A span as it was exported. */
export type SinkSpan = {
  /** `service.name` of its process. */
  readonly service: string;
  readonly name: string;
  readonly kind: "internal" | "server" | "client" | "producer" | "consumer";
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly attributes: SinkAttributes;
  readonly isError: boolean;
  /** ns since the epoch. */
  readonly start: bigint;
  readonly end: bigint;
};

/** A running sink. */
export type OtlpSink = AsyncDisposable & {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** All spans so far, in the order they came. */
  readonly spans: readonly SinkSpan[];
  /** Service → metric → attribute sets it was seen with. */
  readonly metrics: ReadonlyMap<string, ReadonlyMap<string, readonly SinkAttributes[]>>;
  /** Service → attributes of its resource. */
  readonly resources: ReadonlyMap<string, SinkAttributes>;
  /** Every body as it came, for searches of what must not be in any. */
  readonly bodies: readonly string[];
};

const KINDS = ["internal", "internal", "server", "client", "producer", "consumer"] as const;

/** Listens on a free port of loopback. */
export async function openOtlpSink(): Promise<OtlpSink> {
  const spans: SinkSpan[] = [];
  const metrics = new Map<string, Map<string, SinkAttributes[]>>();
  const resources = new Map<string, SinkAttributes>();
  const bodies: string[] = [];
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    bodies.push(body);
    keep(JSON.parse(body));
    res.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server's address is one
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    metrics,
    resources,
    bodies,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };

  function keep({ resourceSpans = [], resourceMetrics = [] }: Export): void {
    for (const { resource, scopeSpans = [] } of [...resourceSpans, ...resourceMetrics]) {
      const about = readAttributes(resource.attributes);
      const service = String(about["service.name"]);
      resources.set(service, about);
      for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
        spans.push(readSpan(service, span));
      }
    }
    for (const { resource, scopeMetrics = [] } of resourceMetrics) {
      const service = String(readAttributes(resource.attributes)["service.name"]);
      const seen = metrics.get(service) ?? new Map<string, SinkAttributes[]>();
      metrics.set(service, seen);
      for (const { name, sum, gauge, histogram } of scopeMetrics.flatMap((one) => one.metrics)) {
        const points = (sum ?? gauge ?? histogram)?.dataPoints ?? [];
        seen.set(
          name,
          points.map((point) => readAttributes(point.attributes)),
        );
      }
    }
  }
}

type WireAttributes = readonly {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: string;
    readonly doubleValue?: number;
    readonly boolValue?: boolean;
  };
}[];
type WireSpan = {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly attributes: WireAttributes;
  readonly status: { readonly code?: number };
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
};
type WirePoints = { readonly dataPoints: readonly { readonly attributes: WireAttributes }[] };
type WireMetric = {
  readonly name: string;
  readonly sum?: WirePoints;
  readonly gauge?: WirePoints;
  readonly histogram?: WirePoints;
};
type WireResource = {
  readonly resource: { readonly attributes: WireAttributes };
  readonly scopeSpans?: readonly { readonly spans: readonly WireSpan[] }[];
  readonly scopeMetrics?: readonly { readonly metrics: readonly WireMetric[] }[];
};
/** ExportTraceServiceRequest or ExportMetricsServiceRequest, as far as it is read here. */
type Export = {
  readonly resourceSpans?: readonly WireResource[];
  readonly resourceMetrics?: readonly WireResource[];
};

function readSpan(service: string, span: WireSpan): SinkSpan {
  return {
    service,
    name: span.name,
    kind: KINDS[span.kind] ?? "internal",
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? "",
    links: span.links.map(({ traceId, spanId }) => ({ traceId, spanId })),
    attributes: readAttributes(span.attributes),
    isError: span.status.code === 2,
    start: BigInt(span.startTimeUnixNano),
    end: BigInt(span.endTimeUnixNano),
  };
}

function readAttributes(attributes: WireAttributes): SinkAttributes {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ??
        value.boolValue ??
        value.doubleValue ??
        (value.intValue === undefined ? "" : Number(value.intValue)),
    ]),
  );
}
