/** The names of telemetry have one home, kit/semconv.ts: no other source spells one, and no metric or span invents one. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ATTR, METRIC, OUR_METRIC, OURS } from "@headgate/kit/semconv";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const names = [ATTR, METRIC, OUR_METRIC, OURS].flatMap((home) => Object.values<string>(home));
const sources = globSync("services/*/src/**/*.ts", { cwd: ROOT })
  .filter((file) => !/(\.test|semconv)\.ts$|\/testing\//.test(file))
  .map((file) => ({ file, text: readFileSync(join(ROOT, file), "utf8") }));

test("no source spells a name that semconv.ts has", () => {
  const spelt = sources.flatMap(({ file, text }) =>
    names.filter((name) => text.includes(`"${name}"`)).map((name) => `${file}: ${name}`),
  );
  expect(sources.length).toBeGreaterThan(50);
  expect(spelt).toEqual([]);
});

test("no source makes a metric under a name of its own", () => {
  const made = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/\b(?:counter|histogram|gauge|observedCounter)\(\s*(["'`][^,)]*)/g)].map(
      ([, name]) => `${file}: ${name}`,
    ),
  );
  expect(made).toEqual([]);
});

test("no source gives a span or a measurement an attribute under a name of its own", () => {
  const given = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/\battributes: \{\s*"?[a-z_.]+"?:/g)].map(([found]) => `${file}: ${found}`),
  );
  expect(given).toEqual([]);
});
