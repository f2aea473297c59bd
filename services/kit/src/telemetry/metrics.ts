/**
 * Our own aggregates: cheap enough to be recorded several times per request. Read by `prometheus.ts` and, when asked, by the
 * OTLP exporter. Kept per process: a metric named twice is the same metric.
 */
import { ATTR } from "../semconv.ts";

/** The names and values a measurement is split by. Few values each: never an id, a URL or a token. */
export type Attributes = Record<string, string>;

/** What a metric is described by. `unit` is UCUM (`s`, `By`, `{event}`). */
export type MetricOptions = { description?: string; unit?: string };

/** Sums of one attribute set. For histograms: count, sum and one count per bucket (the last one is above all bounds). */
export type Series = {
  readonly attributes: Attributes;
  value: number;
  count: number;
  readonly buckets: number[];
};

/** One metric with all its series. */
export type Metric = {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly description: string;
  readonly unit: string;
  readonly bounds: readonly number[];
  readonly series: Map<string, Series>;
  readonly observe: Observe | undefined;
};

/** Reads a gauge: one value, or one per attribute set. */
export type Observe = () => number | readonly { value: number; attributes: Attributes }[];

/** Bounds for durations in seconds, as the semantic conventions advise for HTTP, rpc, db and messaging. */
export const DURATION_BOUNDS_S = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const;

/** Attribute sets per metric; measurements of further ones are summed under `otel.metric.overflow`. */
export const SERIES_MAX = 500;

const registry = new Map<string, Metric>();

/** All metrics made so far, in the order they were made. */
export function listMetrics(): Iterable<Metric> {
  return registry.values();
}

/** A sum that only rises. `add` takes n ≥ 0; anything else is ignored. */
export function counter(
  name: string,
  options: MetricOptions = {},
): { add(n: number, attributes?: Attributes): void } {
  const seriesOf = createFinder(register({ name, kind: "counter", ...options }), 0);
  return {
    add(n, attributes) {
      if (!(n >= 0)) return;
      seriesOf(attributes).value += n;
    },
  };
}

/** A distribution over buckets; `bounds` are upper, inclusive, rising, and default to those of durations in seconds. */
export function histogram(
  name: string,
  options: MetricOptions & { bounds?: readonly number[] } = {},
): { record(value: number, attributes?: Attributes): void } {
  const bounds = options.bounds ?? DURATION_BOUNDS_S;
  const metric = register({ name, kind: "histogram", ...options, bounds });
  const seriesOf = createFinder(metric, bounds.length + 1);
  return {
    record(value, attributes) {
      if (!Number.isFinite(value)) return;
      const found = seriesOf(attributes);
      found.value += value;
      found.count++;
      let at = 0;
      while (at < bounds.length && value > (bounds[at] as number)) at++; // at is below length
      (found.buckets[at] as number)++; // one bucket more than bounds
    },
  };
}

/** A value that is asked for when metrics are read. A gauge made again under its name replaces the former. */
export function gauge(name: string, observe: Observe, options: MetricOptions = {}): void {
  registry.delete(name);
  register({ name, kind: "gauge", ...options, observe });
}

/** A sum that something else keeps, read as a gauge is. It must never fall. */
export function observedCounter(name: string, observe: Observe, options: MetricOptions = {}): void {
  registry.delete(name);
  register({ name, kind: "counter", ...options, observe });
}

/** The values of a metric now, without those of histograms; none when its reader throws. */
export function readValues(metric: Metric): readonly { value: number; attributes: Attributes }[] {
  return metric.observe ? observeGauge(metric) : [...metric.series.values()];
}

function observeGauge(metric: Metric): readonly { value: number; attributes: Attributes }[] {
  try {
    const seen = metric.observe?.() ?? [];
    return typeof seen === "number" ? [{ value: seen, attributes: {} }] : seen;
  } catch {
    return [];
  }
}

function register(
  made: MetricOptions & {
    name: string;
    kind: Metric["kind"];
    bounds?: readonly number[];
    observe?: Observe;
  },
): Metric {
  const known = registry.get(made.name);
  if (known) {
    if (known.kind !== made.kind) throw new Error(`metric ${made.name} is a ${known.kind} already`);
    return known;
  }
  const metric: Metric = {
    name: made.name,
    kind: made.kind,
    description: made.description ?? "",
    unit: made.unit ?? "",
    bounds: made.bounds ?? [],
    series: new Map(),
    observe: made.observe,
  };
  registry.set(made.name, metric);
  return metric;
}

const NO_ATTRIBUTES: Attributes = {};

/**
 * Finds series, and knows the last one again by its attributes' very object: busy callers keep theirs. So an object that
 * was handed in must not be changed afterwards.
 */
function createFinder({ series }: Metric, bucketCount: number) {
  let last: Attributes | undefined;
  let found: Series | undefined;
  return (attributes: Attributes = NO_ATTRIBUTES): Series => {
    if (found === undefined || attributes !== last) {
      found = findSeries(series, attributes, bucketCount);
      last = attributes;
    }
    return found;
  };
}

const OVERFLOW: Attributes = { [ATTR.otelOverflow]: "true" };

function findSeries(
  all: Map<string, Series>,
  attributes: Attributes = NO_ATTRIBUTES,
  bucketCount: number,
): Series {
  let key = "";
  for (const name in attributes) key += `${name}\u0001${attributes[name]}\u0002`;
  return all.get(key) ?? addSeries(all, key, attributes, bucketCount);
}

function addSeries(
  all: Map<string, Series>,
  key: string,
  attributes: Attributes,
  bucketCount: number,
): Series {
  if (all.size >= SERIES_MAX && attributes !== OVERFLOW) {
    return findSeries(all, OVERFLOW, bucketCount);
  }
  const made: Series = {
    attributes: { ...attributes },
    value: 0,
    count: 0,
    buckets: new Array<number>(bucketCount).fill(0),
  };
  all.set(key, made);
  return made;
}
