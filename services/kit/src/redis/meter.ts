/** The span and the metric of a Redis command. */
import { AppError } from "../errors.ts";
import { ATTR, METRIC } from "../semconv.ts";
import { activeSpan, histogram, startSpan } from "../telemetry.ts";

/** Bounds in seconds, as the conventions advise. */
const DURATION_BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** Measures a command: `summary` is its name, with a script's name behind it; never its arguments. */
export type Meter = <T>(summary: string, work: () => Promise<T>) => Promise<T>;

/** Makes the meter. `url` names the server in spans, without user or password. */
export function createMeter(url: string): Meter {
  const duration = histogram(METRIC.dbOperationDuration, { unit: "s", bounds: DURATION_BOUNDS });
  const where = readServer(url);
  return async function measure(summary, work) {
    const startedMs = performance.now();
    const labels: Record<string, string> = {
      [ATTR.dbSystem]: "redis",
      [ATTR.dbQuerySummary]: summary,
    };
    const span = activeSpan() // only inside a span: probes make none
      ? startSpan(summary, { kind: "client", attributes: { ...labels, ...where } })
      : undefined;
    try {
      return await work();
    } catch (thrown) {
      labels[ATTR.errorType] = AppError.from(thrown).reason;
      span?.fail(thrown);
      throw thrown;
    } finally {
      duration.record((performance.now() - startedMs) / 1000, labels);
      span?.end();
    }
  };
}

function readServer(url: string): Record<string, string | number> {
  if (!URL.canParse(url)) return {};
  const { hostname, port } = new URL(url);
  return { [ATTR.serverAddress]: hostname, [ATTR.serverPort]: Number(port || 6379) };
}
