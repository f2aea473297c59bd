/** The figures of a bench run, as written to JSON and as printed. */

/** Rates are events a second; times ms; `ratio_to_publisher` is to the floor of http plus the kit's publisher. */
export type Report = {
  floors: { http: { per_second: number }; publisher: { per_second: number } };
  accepted: {
    name: "native" | "mattermost" | "batch_50";
    per_second: number;
    p50_ms: number;
    p95_ms: number;
    p99_ms: number;
    ratio_to_publisher: number;
  }[];
  readable: { per_second: number; p50_ms: number; p99_ms: number };
  processes: { name: string; cpu_seconds_per_1000: number; rss_bytes: number }[];
};

/** Prints one table of the whole report. */
export function printTable(report: Report): void {
  const rows: string[][] = [
    ["", "events/s", "p50 ms", "p95 ms", "p99 ms", "of the publisher floor"],
    ["floor: bare http + JSON.parse", String(report.floors.http.per_second)],
    ["floor: bare http + publisher", String(report.floors.publisher.per_second)],
    ...report.accepted.map((row) => [
      `accepted: ${row.name.replace("_", " of ")}`,
      ...[row.per_second, row.p50_ms, row.p95_ms, row.p99_ms, row.ratio_to_publisher].map(String),
    ]),
    ["readable, lag flat (the knee)", String(report.readable.per_second)],
    [
      "accept to readable, at half of it",
      "",
      String(report.readable.p50_ms),
      "",
      String(report.readable.p99_ms),
    ],
    [],
    ["process, at half the knee", "CPU s per 1,000 events", "RSS MB"],
    ...report.processes.map((row) => [
      row.name,
      String(row.cpu_seconds_per_1000),
      String(Math.round(row.rss_bytes / 1_048_576)),
    ]),
  ];
  const first = Math.max(...rows.map((row) => row[0]?.length ?? 0));
  for (const [head = "", ...cells] of rows) {
    console.log(
      `${head.padEnd(first)}  ${cells.map((cell) => cell.padStart(9)).join("  ")}`.trimEnd(),
    );
  }
}
