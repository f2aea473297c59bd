/** GET /status: the parts, their versions, and what is stuck. */
import { Type } from "typebox";
import type { ApiDeps, StatusReport } from "./deps.ts";
import { nullable, Time } from "./forms.ts";
import { named } from "./named.ts";
import { type AnyRoute, route } from "./route.ts";

/** ms that a report is shown again before the parts are asked anew. */
const FRESH_MS = 1_000;

const StatusForm = named(
  "Status",
  Type.Object({
    status: Type.Unsafe<string>({ type: "string", enum: ["ok", "degraded"] }),
    version: Type.String(),
    parts: Type.Array(
      Type.Object({
        name: Type.String(),
        ready: Type.Boolean(),
        version: nullable(Type.String()),
      }),
    ),
    groups: Type.Array(
      Type.Object({
        group: Type.String(),
        topic: Type.String(),
        lag: Type.Integer({ description: "Records that are not yet done." }),
        lag_seconds: nullable(Type.Number({ description: "Age of the oldest of them." })),
      }),
    ),
    oldest_undelivered_at: nullable(Time),
  }),
);

/** The route. */
export function createStatusRoutes({ status }: Pick<ApiDeps, "status">): AnyRoute[] {
  let kept: { report: Promise<StatusReport>; atMs: number } | undefined;
  return [
    route({
      method: "get",
      path: "/status",
      operationId: "getStatus",
      summary: "Parts, versions, lag per consumer group.",
      tag: "status",
      responses: { 200: { description: "As of the last second.", schema: StatusForm } },
      async handler() {
        return { status: 200, body: render(await report()) };
      },
    }),
  ];

  function report(): Promise<StatusReport> {
    const nowMs = performance.now();
    if (!kept || nowMs - kept.atMs > FRESH_MS) {
      kept = { report: status(), atMs: nowMs };
      kept.report.catch(() => {
        kept = undefined; // a failure is told once, and not kept
      });
    }
    return kept.report;
  }
}

function render({ version, parts, groups, oldestUndelivered }: StatusReport) {
  return {
    status: parts.every(({ isReady }) => isReady) ? "ok" : "degraded",
    version,
    parts: parts.map((part) => ({
      name: part.name,
      ready: part.isReady,
      version: part.version ?? null,
    })),
    groups: groups.map(({ group, topic, lag, lagSeconds }) => ({
      group,
      topic,
      lag,
      lag_seconds: lagSeconds ?? null,
    })),
    oldest_undelivered_at: oldestUndelivered?.toISOString() ?? null,
  };
}
