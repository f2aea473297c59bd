/** Metrics as Prometheus text (exposition format 0.0.4), with unit suffixes: `http_server_request_duration_seconds`. */
import { type Attributes, listMetrics, type Metric, readValues, type Series } from "./metrics.ts";

/** UCUM unit to Prometheus suffix; annotations such as `{event}` have none. */
const SUFFIXES: Record<string, string> = { s: "seconds", ms: "milliseconds", By: "bytes" };

/** The text of all metrics, without those that have no value yet. */
export function renderMetrics(): string {
  let text = "";
  for (const metric of listMetrics()) text += renderMetric(metric);
  return text;
}

/** The Prometheus name of a metric: dots become underscores, the unit and (for counters) `_total` are appended. */
export function prometheusName(metric: Pick<Metric, "name" | "kind" | "unit">): string {
  let name = metric.name.replace(/[^a-zA-Z0-9_:]/g, "_");
  const suffix = metric.unit === "1" && metric.kind === "gauge" ? "ratio" : SUFFIXES[metric.unit];
  if (suffix && !name.endsWith(`_${suffix}`)) name += `_${suffix}`;
  return metric.kind === "counter" ? `${name}_total` : name;
}

function renderMetric(metric: Metric): string {
  const name = prometheusName(metric);
  let lines = "";
  if (metric.kind === "histogram") {
    for (const series of metric.series.values()) {
      lines += renderBuckets(name, metric.bounds, series);
    }
  } else {
    for (const { value, attributes } of readValues(metric)) {
      lines += `${name}${renderLabels(attributes)} ${renderNumber(value)}\n`;
    }
  }
  if (lines === "") return "";
  const help = metric.description.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `${help ? `# HELP ${name} ${help}\n` : ""}# TYPE ${name} ${metric.kind}\n${lines}`;
}

function renderBuckets(name: string, bounds: readonly number[], series: Series): string {
  let lines = "";
  let below = 0;
  for (const [at, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    below += series.buckets[at] ?? 0;
    lines += `${name}_bucket${renderLabels(series.attributes, renderNumber(bound))} ${below}\n`;
  }
  const labels = renderLabels(series.attributes);
  return `${lines}${name}_sum${labels} ${renderNumber(series.value)}\n${name}_count${labels} ${series.count}\n`;
}

function renderLabels(attributes: Attributes, le?: string): string {
  const parts = Object.entries(attributes).map(
    ([key, value]) => `${key.replace(/[^a-zA-Z0-9_]/g, "_")}="${escapeValue(value)}"`,
  );
  if (le !== undefined) parts.push(`le="${le}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escapeValue(value: string): string {
  return String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function renderNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}
