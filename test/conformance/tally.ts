/** Counts what of each upstream's checklist is shown by tests: a test's name carries the number of its line, "MT-16 …". */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestResult } from "../support/vitest-run.ts";

/** The checklist of one upstream: how its numbers begin, and how many lines it has. */
export type Checklist = { readonly prefix: string; readonly lines: number };

/** The lines of one upstream by what became of them, in their order. */
export type Standing = {
  readonly upstream: string;
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly missing: readonly string[];
};

/** Reads the checklists of all upstreams. */
export async function readChecklists(): Promise<Record<string, Checklist>> {
  return JSON.parse(await readFile(join(import.meta.dirname, "checklist.json"), "utf8"));
}

/** A line has passed when a test carries its number and none that does has failed. */
export function tallyLines(
  checklists: Readonly<Record<string, Checklist>>,
  tests: readonly Pick<TestResult, "name" | "passed">[],
): Standing[] {
  const verdicts = new Map<string, boolean>();
  for (const { name, passed } of tests) {
    for (const [number] of name.matchAll(/\b[A-Z]{2}-\d+\b/g)) {
      verdicts.set(number, passed && (verdicts.get(number) ?? true));
    }
  }
  return Object.entries(checklists).map(([upstream, { prefix, lines }]) => {
    const numbers = Array.from({ length: lines }, (_, at) => `${prefix}-${at + 1}`);
    return {
      upstream,
      passed: numbers.filter((number) => verdicts.get(number) === true),
      failed: numbers.filter((number) => verdicts.get(number) === false),
      missing: numbers.filter((number) => !verdicts.has(number)),
    };
  });
}

/** The last line of an upstream: `monotree: 27 passed, 0 failed, 53 not yet`. */
export function renderStanding({ upstream, passed, failed, missing }: Standing): string {
  return `${upstream}: ${passed.length} passed, ${failed.length} failed, ${missing.length} not yet`;
}
