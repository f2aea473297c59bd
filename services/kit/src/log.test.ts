import { expect, test } from "vitest";
import { AppError } from "./errors.ts";
import { createLog, type LogLevel } from "./log.ts";
import { runActive } from "./telemetry/context.ts";

function open(level?: LogLevel) {
  const lines: string[] = [];
  const log = createLog({ service: "chat", level, write: (line) => lines.push(line) });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? "null") };
}

test("writes one JSON object a line, with time, severity and service", () => {
  const { log, lines, last } = open();
  log.info("hook.accepted", { "event.id": "e1", duration_ms: 1.5, none: undefined, text: "a\nb" });
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain("\n");
  expect(last()).toEqual({
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    severity: "info",
    msg: "hook.accepted",
    "service.name": "chat",
    "event.id": "e1",
    duration_ms: 1.5,
    text: "a\nb",
  });
});

test("writes nothing below its level", () => {
  const { log, lines } = open("warn");
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["c", "d"]);
});

test("adds a child's fields to all of its lines", () => {
  const { log, last } = open();
  log.child({ group: "chat" }).child({ topic: "t" }).info("x", { partition: 1 });
  expect(last()).toMatchObject({ group: "chat", topic: "t", partition: 1 });
});

test("names the trace inside a span", () => {
  const { log, last } = open();
  const context = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };
  runActive({ context }, () => log.info("x"));
  expect(last()).toMatchObject({
    trace_id: context.traceId,
    span_id: context.spanId,
    trace_flags: "01",
  });
  log.info("y");
  expect(last()).not.toHaveProperty("trace_id");
});

test("shows a stack only for what nobody foresaw", () => {
  const { log, last } = open();
  const cause = new Error("connect ECONNREFUSED");
  log.warn("x", { error: new AppError("unavailable", "database_unavailable", "Away.", { cause }) });
  expect(last().error).toEqual({
    type: "AppError",
    message: "Away.",
    code: "unavailable",
    reason: "database_unavailable",
    cause: { type: "Error", message: "connect ECONNREFUSED" },
  });
  log.error("x", { error: new TypeError("oops") });
  expect(last().error).toMatchObject({ type: "TypeError", stack: expect.stringContaining("oops") });
  log.error("x", { error: AppError.from(new TypeError("oops")) });
  expect(last().error.cause).toMatchObject({ stack: expect.stringContaining("oops") });
});

test("survives what JSON cannot hold", () => {
  const { log, last } = open();
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  log.info("x", {
    cycle,
    big: 12n,
    bytes: new Uint8Array(3),
    none: Number.NaN,
    nested: { error: new Error("in") },
  });
  expect(last()).toMatchObject({ cycle: "unwritable", big: "12", bytes: "3 bytes", none: null });
  expect(last().nested.error).toMatchObject({ type: "Error", message: "in" });
  log.error("x", { error: "a text was thrown" });
  expect(last().error).toEqual({ type: "string", message: "a text was thrown" });
});

test("cuts a line that is too long down to its head", () => {
  const { log, lines, last } = open();
  log.info("x", { text: "y".repeat(100_000) });
  expect(lines[0]?.length).toBeLessThan(1000);
  expect(last()).toMatchObject({ msg: "x", cut: true });
});

test("lets no credential through, wherever it stands", () => {
  const { log, lines } = open();
  const token = `hg_${"Ab1_-".repeat(8)}xyz`;
  log.info(`GET /hooks/ybndrfg8ejkmcpqxot1uwisza3 with ${token}`, {
    error: new Error(`connect postgres://app:hunter2@db:5432/x failed`, {
      cause: new Error(`Authorization: Bearer ${token}`),
    }),
    nested: { list: [`/in/hgi_${"a".repeat(43)}?x=1`], apiToken: "s3cr3t-value", set: true },
    HEADGATE_SECRET_KEY: "s3cr3t-key",
    password: { set: true },
  });
  const line = lines[0] ?? "";
  for (const secret of [token, "ybndrfg8", "hunter2", "s3cr3t", "aaaaaaa"]) {
    expect(line).not.toContain(secret);
  }
  expect(JSON.parse(line)).toMatchObject({ password: { set: true }, nested: { set: true } });
});
