/** What a hook request leaves behind: its duration, its outcome in a counter, and one wide line. */
import type { AppError } from "@headgate/kit/errors";
import type { Log } from "@headgate/kit/log";
import { ATTR, OUR_METRIC, OURS } from "@headgate/kit/semconv";
import { counter } from "@headgate/kit/telemetry";
import type { HookRequest } from "./dialect.ts";
import { createRequestDurations } from "./request-durations.ts";

/** Notes one answered request. */
export type RequestRecorder = (
  dialect: string,
  template: string,
  request: Pick<HookRequest, "method" | "traceId" | "source"> & {
    readonly spanId?: string | undefined;
  },
  status: number,
  error: AppError | undefined,
  durationMs: number,
) => void;

/** Lines of refusals in one second; the rest is only counted, so that a flood of them does not become one of logs. */
const REFUSAL_LINES_MAX = 50;

/** Wires the recorder. `logsAccepted`: accepted requests leave a line too, at debug. */
export function createRequestRecorder({
  log,
  logsAccepted,
}: {
  log: Log;
  logsAccepted: boolean;
}): RequestRecorder {
  const recordDuration = createRequestDurations();
  const ingested = counter(OUR_METRIC.ingestEvents, {
    description: "Events by what became of them.",
  });
  let second = 0;
  let lines = 0;
  let left = 0;

  return (dialect, template, request, status, error, durationMs) => {
    recordDuration(request.method, template, status, durationMs);
    if (status < 400) {
      if (logsAccepted) log.debug("hook request", describe());
      return;
    }
    ingested.add(1, { [OURS.dialect]: dialect, [OURS.action]: "none", [OURS.outcome]: "refused" });
    if (!mayWrite()) return;
    const level = status === 500 ? "error" : "info";
    const fields = describe();
    if (left > 0) fields.lines_left_out = left;
    if (status === 500) fields.error = error?.cause ?? error;
    left = 0;
    log[level]("hook request", fields);

    function describe(): Record<string, unknown> {
      return {
        trace_id: request.traceId,
        span_id: request.spanId,
        [ATTR.httpMethod]: request.method,
        [ATTR.httpRoute]: template,
        [ATTR.httpStatus]: status,
        [ATTR.clientAddress]: request.source,
        [OURS.dialect]: dialect,
        outcome: status < 400 ? "accepted" : "refused",
        reason: error?.reason,
        duration_ms: Math.round(durationMs * 100) / 100,
      };
    }
  };

  function mayWrite(): boolean {
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) {
      second = now;
      lines = 0;
    }
    lines += 1;
    if (lines > REFUSAL_LINES_MAX) left += 1;
    return lines <= REFUSAL_LINES_MAX;
  }
}
