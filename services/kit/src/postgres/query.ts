/** One statement on one connection: its span, its metric, its error. */
import type { ClientBase } from "pg";
import type { QueryOptions } from "../postgres.ts";
import { ATTR, METRIC } from "../semconv.ts";
import { activeSpan, histogram, startSpan } from "../telemetry.ts";
import { DatabaseFault, toAppError } from "./errors.ts";

/** Bounds in seconds, as the conventions advise. */
const DURATION_BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
/** Statement texts whose summary is remembered; code has a fixed set of them. */
const SUMMARIES_MAX = 1_000;

/** Runs one statement on a connection. */
export type Runner = <Row>(
  client: ClientBase,
  text: string,
  parameters?: readonly unknown[],
  options?: QueryOptions,
) => Promise<Row[]>;

/** Makes the function that runs statements. `url` names the server in spans, without user or password. */
export function createRunner(url: string): Runner {
  const duration = histogram(METRIC.dbOperationDuration, { unit: "s", bounds: DURATION_BOUNDS });
  const where = readServer(url);

  return async function run<Row>(
    client: ClientBase,
    text: string,
    parameters: readonly unknown[] = [],
    options: QueryOptions = {},
  ): Promise<Row[]> {
    const startedMs = performance.now();
    const summary = options.summary ?? summarise(text);
    // Only inside a span: looks at the outbox and probes, made for nobody, would be traces of their own for ever.
    const span = activeSpan() ? openSpan(summary, text) : undefined;
    const labels: Record<string, string> = {
      [ATTR.dbSystem]: "postgresql",
      [ATTR.dbQuerySummary]: summary,
    };
    try {
      // Several statements in one text (a transaction's beginning) are only possible without parameters.
      const result = await (parameters.length === 0
        ? client.query(text)
        : client.query({ name: options.name, text, values: [...parameters] }));
      // The caller names the shape of the rows that its statement returns.
      return result.rows as Row[];
    } catch (thrown) {
      const error = toAppError(thrown);
      labels[ATTR.errorType] =
        error.cause instanceof DatabaseFault ? error.cause.sqlState : error.reason;
      if (error.cause instanceof DatabaseFault)
        span?.set({ [ATTR.dbStatus]: error.cause.sqlState });
      span?.fail(error);
      throw error;
    } finally {
      duration.record((performance.now() - startedMs) / 1000, labels);
      span?.end();
    }
  };

  function openSpan(summary: string, text: string) {
    const table = summary.split(" ")[1];
    return startSpan(summary, {
      kind: "client",
      attributes: {
        [ATTR.dbSystem]: "postgresql",
        [ATTR.dbQuerySummary]: summary,
        [ATTR.dbQueryText]: text.slice(0, 2_000),
        ...(table ? { [ATTR.dbCollection]: table } : {}),
        ...where,
      },
    });
  }
}

const summaries = new Map<string, string>();

/** `INSERT chat.messages` for a statement: its writing verb, else its first, and that verb's table. */
export function summarise(text: string): string {
  const known = summaries.get(text);
  if (known) return known;
  const plain = text.replace(/--[^\n]*/g, " ");
  const found =
    /\b(insert)\s+into\s+([\w.]+)/i.exec(plain) ??
    /\b(update)\s+([\w.]+)\s+(?:as\s+\w+\s+|\w+\s+)?set\b/i.exec(plain) ??
    /\b(delete)\s+from\s+([\w.]+)/i.exec(plain) ??
    /\b(select)\b[\s\S]*?\bfrom\s+([\w.]+)/i.exec(plain);
  const verb = found?.[1] ?? /\w+/.exec(plain)?.[0] ?? "QUERY";
  const summary = found?.[2] ? `${verb.toUpperCase()} ${found[2]}` : verb.toUpperCase();
  if (summaries.size < SUMMARIES_MAX) summaries.set(text, summary);
  return summary;
}

function readServer(url: string): Record<string, string | number> {
  if (!URL.canParse(url)) return {};
  const { hostname, port } = new URL(url);
  return { [ATTR.serverAddress]: hostname, [ATTR.serverPort]: Number(port || 5432) };
}
