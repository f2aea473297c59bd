import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";
import { expect, onTestFinished, test, vi } from "vitest";
import { renderMetrics } from "./prometheus.ts";
import { recordSpans } from "./recorded-spans.ts";
import { createSpanOutlet } from "./span-outlet.ts";
import { startSpan } from "./spans.ts";

function buildSpan(name: string): ReadableSpan {
  using recorder = recordSpans();
  startSpan(name, { root: true }).end();
  const [span] = recorder.spans;
  if (!span) throw new Error("nothing was recorded");
  return span.sdk;
}

function open(send: (names: string[]) => Promise<void>) {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const heard: ExportResult[] = [];
  const outlet: SpanProcessor = createSpanOutlet({
    exporter: {
      export(spans, done) {
        send(spans.map((span) => span.name)).then(
          () => done({ code: ExportResultCode.SUCCESS }),
          (error) => done({ code: ExportResultCode.FAILED, error }),
        );
      },
      async shutdown() {},
    },
    limits: { queueMax: 10, batchMax: 4, delayMs: 1000 },
    hear: (result) => heard.push(result),
  });
  const take = (...names: string[]) => {
    for (const name of names) outlet.onEnd(buildSpan(name));
  };
  return { outlet, take, heard };
}

/** Spans counted as `what`, one of the words of error.type. */
function counted(what: "queue_full" | "export_failed"): number {
  const line = new RegExp(`^otel_sdk_\\w+_total\\{[^}]*"${what}"[^}]*\\} (\\d+)$`, "m");
  return Number(line.exec(renderMetrics())?.[1] ?? 0);
}

test("sends a full batch at once and the rest after the delay", async () => {
  const sent: string[][] = [];
  const { take } = open(async (names) => void sent.push(names));
  take("a", "b", "c", "d", "e");
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toEqual([["a", "b", "c", "d"]]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(sent).toEqual([["a", "b", "c", "d"], ["e"]]);
});

test("drops and counts what a stalled collector leaves no room for", async () => {
  const before = counted("queue_full");
  const { take } = open(() => new Promise(() => {}));
  take("a", "b", "c", "d");
  await vi.advanceTimersByTimeAsync(1);
  take(..."0123456789".split(""), "x", "y"); // ten fit
  expect(counted("queue_full") - before).toBe(2);
  await vi.advanceTimersByTimeAsync(3_600_000); // the SDK gives batches up, and hands over the next ones
  take("z");
  expect(counted("queue_full") - before).toBe(3);
});

test("goes on after a failed send, counts it, and tells how each one ended", async () => {
  const before = counted("export_failed");
  let away = true;
  const { take, heard } = open(async () => {
    if (away) throw new Error("away");
  });
  for (let round = 0; round < 3; round++) {
    take("a", "b", "c", "d");
    await vi.advanceTimersByTimeAsync(5);
    if (round === 1) away = false;
  }
  const { FAILED, SUCCESS } = ExportResultCode;
  expect(heard.map(({ code }) => code)).toEqual([FAILED, FAILED, SUCCESS]);
  expect(counted("export_failed") - before).toBe(8);
});

test("sends all that is left when shut down, a batch at a time, and takes nothing more", async () => {
  let running = 0;
  const sent: string[] = [];
  const { take, outlet } = open(async (names) => {
    expect(++running).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    running--;
    sent.push(...names);
  });
  const names = "0123456789".split("");
  take(...names);
  const ended = outlet.shutdown();
  take("late");
  await vi.advanceTimersByTimeAsync(100);
  await ended;
  expect(sent).toEqual(names);
});
