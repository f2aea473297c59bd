/** Metrics of the process: event loop, heap, memory, garbage collection, CPU. Read when they are asked for. */
import {
  constants,
  monitorEventLoopDelay,
  PerformanceObserver,
  performance,
} from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import { droppedLines } from "../log/sink.ts";
import { ATTR, METRIC, OUR_METRIC } from "../semconv.ts";
import { gauge, histogram, observedCounter } from "./metrics.ts";

/** ms between two samples of the event loop's delay. */
const RESOLUTION_MS = 20;
/** ms after which the delay's distribution is forgotten, so that the p99 is a recent one. */
const WINDOW_MS = 60_000;
/** Bounds in seconds that the conventions advise for v8js.gc.duration. */
const GC_BOUNDS_S = [0.01, 0.1, 1, 10];
const GC_TYPES = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/** Starts measuring; disposing stops it. */
export function openRuntimeMetrics(): Disposable {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const forget = setInterval(() => delay.reset(), WINDOW_MS);
  forget.unref();
  let lastLoop = performance.eventLoopUtilization();

  gauge(METRIC.eventLoopDelayP99, () => toLateness(delay.percentile(99)), {
    unit: "s",
    description: "99th percentile of how late the event loop was, in the last minute.",
  });
  gauge(
    METRIC.eventLoopUtilization,
    () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, lastLoop);
      lastLoop = now;
      return utilization;
    },
    {
      unit: "1",
      description: "Share of the time the event loop was busy since it was last asked.",
    },
  );
  gauge(METRIC.heapUsed, () => getHeapStatistics().used_heap_size, { unit: "By" });
  gauge(METRIC.heapLimit, () => getHeapStatistics().heap_size_limit, { unit: "By" });
  gauge(METRIC.processMemory, () => process.memoryUsage.rss(), {
    unit: "By",
    description: "Resident memory.",
  });
  observedCounter(
    METRIC.processCpu,
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    { unit: "s", description: "CPU time since the process began." },
  );
  observedCounter(OUR_METRIC.logLinesDropped, droppedLines, {
    unit: "{line}",
    description: "Log lines given up because the reader of stdout was too slow.",
  });

  const collections = histogram(METRIC.gcDuration, { unit: "s", bounds: GC_BOUNDS_S });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      collections.record(entry.duration / 1000, { [ATTR.gcType]: gcType(entry) });
    }
  });
  observer.observe({ entryTypes: ["gc"] });

  return {
    [Symbol.dispose]() {
      clearInterval(forget);
      delay.disable();
      observer.disconnect();
    },
  };
}

/** The monitor measures the time between two of its own ticks, in ns: the resolution is no lateness. */
function toLateness(delayNs: number): number {
  return Math.max(0, delayNs / 1e9 - RESOLUTION_MS / 1000);
}

/** The conventions' word for the kind that Node puts into the entry's detail. */
function gcType(entry: object): string {
  const detail = "detail" in entry ? entry.detail : undefined;
  const kind =
    typeof detail === "object" && detail !== null && "kind" in detail ? detail.kind : undefined;
  return (typeof kind === "number" && GC_TYPES.get(kind)) || "unknown";
}
