/** The log: one JSON line per fact on stdout, with trace ids, without secrets. Never waits, never throws. */
import { isSecretName, REDACTED, redact } from "./log/redact.ts";
import { renderError } from "./log/render-error.ts";
import { writeLine } from "./log/sink.ts";
import { activeSpan } from "./telemetry/context.ts";

/** Named values of a line. The key `error` renders an Error; undefined values are left out. */
export type Fields = Record<string, unknown>;

/** Writes lines of one severity each; `child` adds fields to all of its own. */
export type Log = {
  debug(msg: string, fields?: Fields): void;
  info(msg: string, fields?: Fields): void;
  warn(msg: string, fields?: Fields): void;
  error(msg: string, fields?: Fields): void;
  child(fields: Fields): Log;
};

/** What may be asked of the log, least severe first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** A severity; lines below the log's own are not written. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A line longer than this is cut down to its head fields and message. UTF-16 units. */
const LINE_LENGTH_MAX = 64 * 1024;

/**
 * Makes a log. A line is a JSON object: `timestamp` (ISO 8601 UTC), `severity`, `msg`, `service.name`, then `trace_id`,
 * `span_id`, `trace_flags` inside a span, then the fields. Whatever looks like a credential is replaced by REDACTED.
 */
export function createLog(options: {
  service: string;
  level?: LogLevel;
  write?: (line: string) => void;
}): Log {
  const least = LOG_LEVELS.indexOf(options.level ?? "info");
  const write = options.write ?? writeLine;
  const service = JSON.stringify(options.service);
  return createChild({});

  function createChild(bound: Fields): Log {
    return {
      debug: (msg, fields) => emit(0, "debug", msg, fields),
      info: (msg, fields) => emit(1, "info", msg, fields),
      warn: (msg, fields) => emit(2, "warn", msg, fields),
      error: (msg, fields) => emit(3, "error", msg, fields),
      child: (fields) => createChild({ ...bound, ...fields }),
    };

    function emit(rank: number, severity: LogLevel, msg: string, fields: Fields | undefined): void {
      if (rank < least) return;
      const time = new Date().toISOString();
      let head = `{"timestamp":"${time}","severity":"${severity}","msg":${JSON.stringify(msg)},"service.name":${service}`;
      const span = activeSpan();
      if (span) {
        head += `,"trace_id":"${span.traceId}","span_id":"${span.spanId}","trace_flags":"${span.sampled ? "01" : "00"}"`;
      }
      const line = `${head}${renderFields(bound)}${fields ? renderFields(fields) : ""}}`;
      write(redact(line.length <= LINE_LENGTH_MAX ? line : `${head.slice(0, 8192)},"cut":true}`));
    }
  }
}

/** `,"key":value` for each field; a value that JSON cannot hold (a cycle, a throwing getter) is named, not written. */
function renderFields(fields: Fields): string {
  let text = "";
  for (const key in fields) {
    const value = fields[key];
    if (value === undefined) continue;
    const json = renderValue(key, value);
    if (json !== undefined) text += renderKey(key) + json;
  }
  return text;
}

function renderValue(key: string, value: unknown): string | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
  if (typeof value === "boolean") return String(value);
  const shown = key === "error" ? renderError(value) : writable(key, value);
  try {
    return typeof shown === "string" ? JSON.stringify(shown) : JSON.stringify(shown, writable);
  } catch {
    return '"unwritable"';
  }
}

/** What is written of a value: REDACTED for the text of a secret, and a short text where JSON has no form for it. */
function writable(key: string, value: unknown): unknown {
  if (typeof value === "string") return isSecretName(key) ? REDACTED : value;
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Error) return renderError(value);
  return value;
}

/** Keys as they are written; few, and the same in every line. */
const keys = new Map<string, string>();
const KEYS_MAX = 1000;

function renderKey(key: string): string {
  const known = keys.get(key);
  if (known !== undefined) return known;
  const made = `,${JSON.stringify(key)}:`;
  if (keys.size < KEYS_MAX) keys.set(key, made);
  return made;
}
