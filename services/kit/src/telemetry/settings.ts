/**
 * Whether the standard OTEL_* variables ask for traces and metrics over OTLP (OpenTelemetry specification, "Environment
 * Variable Specification"). All else of them is read by the SDK. A value that makes no sense is named in `faults` and the
 * default stands in, or the signal stays off: telemetry never stops a service.
 */

/** Where a signal goes: the origin alone, for the rest of the URL may hold a credential. */
export type SignalSettings = {
  readonly origin: string;
  readonly protocol: "http/protobuf" | "http/json";
};

/** All that is asked for; an absent part is off. */
export type TelemetrySettings = {
  readonly traces: SignalSettings | undefined;
  readonly metrics: SignalSettings | undefined;
  /** One sentence for each value that was not understood. */
  readonly faults: readonly string[];
};

type Env = Readonly<Record<string, string | undefined>>;
type Signal = "TRACES" | "METRICS";

const DEFAULT_ENDPOINT = "http://localhost:4318";

/** Reads the variables. Nothing is on unless an endpoint or an exporter is named, and nothing when OTEL_SDK_DISABLED is true. */
export function readTelemetrySettings(env: Env): TelemetrySettings {
  const faults: string[] = [];
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true") {
    return { traces: undefined, metrics: undefined, faults };
  }
  const traces = readSignal(env, "TRACES", faults);
  return { traces, metrics: readSignal(env, "METRICS", faults), faults };
}

function readSignal(env: Env, signal: Signal, faults: string[]): SignalSettings | undefined {
  const name = `OTEL_${signal}_EXPORTER`;
  const words = (env[name] ?? "").split(",").map((word) => word.trim());
  const exporters = words.filter((word) => word !== "" && word !== "prometheus"); // always on: /metrics
  if (exporters.includes("none")) return undefined;
  if (exporters.length > 0 && !exporters.includes("otlp")) {
    faults.push(`${name} knows only otlp and none`);
    return undefined;
  }
  const endpoint = readOwn(env, signal, "ENDPOINT");
  if (exporters.length === 0 && endpoint === undefined) return undefined;
  const origin = readOrigin(endpoint ?? DEFAULT_ENDPOINT);
  if (origin === undefined) {
    faults.push(`the OTLP endpoint of ${signal.toLowerCase()} must be an http or https URL`);
    return undefined;
  }
  return { origin, protocol: readProtocol(readOwn(env, signal, "PROTOCOL"), faults) };
}

/** The signal's own setting before the common one; undefined when both are absent or blank. */
function readOwn(env: Env, signal: Signal, what: string): string | undefined {
  const own = env[`OTEL_EXPORTER_OTLP_${signal}_${what}`]?.trim();
  return own || env[`OTEL_EXPORTER_OTLP_${what}`]?.trim() || undefined;
}

function readOrigin(endpoint: string): string | undefined {
  const url = URL.parse(endpoint);
  return url !== null && /^https?:$/.test(url.protocol) ? url.origin : undefined;
}

function readProtocol(
  protocol: string | undefined,
  faults: string[],
): "http/protobuf" | "http/json" {
  if (protocol === "http/json") return protocol;
  if (protocol !== undefined && protocol !== "http/protobuf") {
    faults.push("OTEL_EXPORTER_OTLP_PROTOCOL knows only http/protobuf and http/json");
  }
  return "http/protobuf";
}
