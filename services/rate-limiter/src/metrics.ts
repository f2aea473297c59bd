/** What the rate-limiter counts, and what it says when it changes its store. */
import type { Log } from "@headgate/kit/log";
import { OUR_METRIC, OURS } from "@headgate/kit/semconv";
import { counter, gauge } from "@headgate/kit/telemetry";
import type { Decision, Mode } from "./service.ts";

/** Makes the listeners that the rules tell of decisions and of changes. */
export function createMetrics(log: Log) {
  let mode: Mode = "redis";
  const decisions = counter(OUR_METRIC.rateLimitDecisions, {
    description: "Verdicts given, by decision and by where the budgets are kept.",
  });
  gauge(OUR_METRIC.rateLimitDegraded, () => (mode === "memory" ? 1 : 0), {
    description: "1 while Redis is away and budgets are kept in this process's memory.",
  });
  const attributes = {
    redis: labelsOf("redis"),
    memory: labelsOf("memory"),
  };
  return { onDecision, onMode };

  function onDecision(decision: Decision, judged: Mode): void {
    decisions.add(1, attributes[judged][decision]);
  }

  function onMode(next: Mode): void {
    mode = next;
    if (next === "memory") log.warn("rate_limit.degraded", { mode: next });
    else log.info("rate_limit.recovered", { mode: next });
  }
}

/** One label object per decision, made once: they are looked up on the hot way. */
function labelsOf(mode: Mode): Record<Decision, Record<string, string>> {
  const labels = (decision: Decision) => ({
    [OURS.rateLimitDecision]: decision,
    [OURS.rateLimitMode]: mode,
  });
  return {
    admitted: labels("admitted"),
    limited: labels("limited"),
    replay: labels("replay"),
    conflict: labels("conflict"),
    in_progress: labels("in_progress"),
  };
}
