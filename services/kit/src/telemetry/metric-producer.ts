/** Our own aggregates in the SDK's shapes, for its reader of metrics. Loaded only when metrics over OTLP are asked for. */
import { type HrTime, ValueType } from "@opentelemetry/api";
import { millisToHrTime } from "@opentelemetry/core";
import { emptyResource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import { listMetrics, type Metric, readValues } from "./metrics.ts";
import { SCOPE } from "./sdk-spans.ts";

/** Gives all metrics that have a value, as sums since now. The reader puts its own resource in place of the empty one. */
export function createMetricProducer(): MetricProducer {
  const startTime = millisToHrTime(Date.now());
  return {
    async collect() {
      const times = { startTime, endTime: millisToHrTime(Date.now()) };
      const all = Array.from(listMetrics(), (metric) => toMetricData(metric, times));
      const metrics = all.filter((one) => one.dataPoints.length > 0);
      return {
        resourceMetrics: { resource: emptyResource(), scopeMetrics: [{ scope: SCOPE, metrics }] },
        errors: [],
      };
    },
  };
}

function toMetricData(metric: Metric, times: { startTime: HrTime; endTime: HrTime }): MetricData {
  const { name, description, unit } = metric;
  const common = {
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  if (metric.kind !== "histogram") {
    const dataPoints = readValues(metric).map(({ value, attributes }) => ({
      ...times,
      attributes,
      value,
    }));
    if (metric.kind === "gauge") {
      return { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
    }
    return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
  }
  const all = [...metric.series.values()];
  const dataPoints = all.map(({ attributes, value: sum, count, buckets }) => ({
    ...times,
    attributes,
    value: { count, sum, buckets: { boundaries: [...metric.bounds], counts: [...buckets] } },
  }));
  return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
}
