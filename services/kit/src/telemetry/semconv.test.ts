import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { expect, test } from "vitest";
import { ATTR, METRIC, OUR_METRIC, OURS, RESOURCE } from "../semconv.ts";

/** In the specification of metrics, and not in the package. */
const ELSEWHERE: readonly string[] = [ATTR.otelOverflow];

test("uses the conventions' own names", () => {
  const known = new Set<unknown>([...Object.values(conventions), ...ELSEWHERE]);
  const used = [...Object.values(ATTR), ...Object.values(METRIC), ...Object.values(RESOURCE)];
  expect(used.filter((name) => !known.has(name))).toEqual([]);
});

test("tells our own names by their beginning", () => {
  for (const name of [...Object.values(OURS), ...Object.values(OUR_METRIC)]) {
    expect(name).toMatch(/^headgate\.[a-z_]+(\.[a-z_]+)*$/);
  }
});

test("names each thing once", () => {
  const all = [ATTR, OURS, METRIC, OUR_METRIC, RESOURCE].flatMap((names) => Object.values(names));
  expect(new Set(all).size).toBe(all.length);
});
