import { expect, test } from "vitest";
import { counter, gauge, histogram, observedCounter, SERIES_MAX } from "./metrics.ts";
import { renderMetrics } from "./prometheus.ts";

function linesOf(prefix: string): string[] {
  return renderMetrics()
    .split("\n")
    .filter((line) => line.startsWith(prefix));
}

test("counts by attribute set, and never down", () => {
  const count = counter("test.counted.events", { unit: "{event}", description: "Two\nlines." });
  count.add(1, { dialect: "a", outcome: "x" });
  count.add(2, { dialect: "a", outcome: "x" });
  count.add(1, { dialect: "b", outcome: "x" });
  count.add(-5, { dialect: "a", outcome: "x" });
  count.add(Number.NaN);
  expect(linesOf("test_counted")).toEqual([
    'test_counted_events_total{dialect="a",outcome="x"} 3',
    'test_counted_events_total{dialect="b",outcome="x"} 1',
  ]);
  expect(renderMetrics()).toContain("# HELP test_counted_events_total Two\\nlines.\n");
  expect(renderMetrics()).toContain("# TYPE test_counted_events_total counter\n");
});

test("puts a value that equals a bound into that bound's bucket", () => {
  const record = histogram("test.took.duration", { unit: "s", bounds: [0.1, 1] });
  for (const value of [0.1, 0.5, 3, Number.NaN]) record.record(value, { "http.route": "/in" });
  expect(linesOf("test_took")).toEqual([
    'test_took_duration_seconds_bucket{http_route="/in",le="0.1"} 1',
    'test_took_duration_seconds_bucket{http_route="/in",le="1"} 2',
    'test_took_duration_seconds_bucket{http_route="/in",le="+Inf"} 3',
    'test_took_duration_seconds_sum{http_route="/in"} 3.6',
    'test_took_duration_seconds_count{http_route="/in"} 3',
  ]);
});

test("asks gauges when metrics are read, and leaves out one that throws", () => {
  let value = 1;
  gauge("test.size", () => value, { unit: "By" });
  gauge("test.share", () => 0.5, { unit: "1" });
  gauge("test.broken", () => {
    throw new Error("x");
  });
  observedCounter("test.spent", () => [{ value: 3, attributes: { kind: "k" } }], { unit: "s" });
  value = 7;
  expect(linesOf("test_size")).toEqual(["test_size_bytes 7"]);
  expect(linesOf("test_share")).toEqual(["test_share_ratio 0.5"]);
  expect(linesOf("test_broken")).toEqual([]);
  expect(linesOf("test_spent")).toEqual(['test_spent_seconds_total{kind="k"} 3']);
});

test("escapes label values", () => {
  counter("test.escaped").add(1, { text: 'a"b\\c\nd' });
  expect(linesOf("test_escaped")).toEqual(['test_escaped_total{text="a\\"b\\\\c\\nd"} 1']);
});

test("bounds the series of a metric and sums the rest", () => {
  const count = counter("test.bounded");
  for (let at = 0; at < SERIES_MAX + 10; at++) count.add(1, { id: String(at) });
  const lines = linesOf("test_bounded");
  expect(lines).toHaveLength(SERIES_MAX + 1);
  expect(lines.at(-1)).toBe('test_bounded_total{otel_metric_overflow="true"} 10');
});

test("is the same metric when made twice, and refuses another kind", () => {
  counter("test.twice").add(1);
  counter("test.twice").add(1);
  expect(linesOf("test_twice")).toEqual(["test_twice_total 2"]);
  expect(() => histogram("test.twice")).toThrow("test.twice");
});
