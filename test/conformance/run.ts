/**
 * `npm run conformance`: runs the tests that carry a number of an upstream's checklist, says which lines passed, failed
 * or are not shown yet, and ends with one line per upstream. Fails when a line failed.
 */
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { runVitest } from "../support/vitest-run.ts";
import { readChecklists, renderStanding, tallyLines } from "./tally.ts";

const print = (line: string) => process.stdout.write(`${line}\n`);
const ROOT = join(import.meta.dirname, "..", "..");

const checklists = await readChecklists();
const number = `\\b(${Object.values(checklists)
  .map(({ prefix }) => prefix)
  .join("|")})-\\d+`;
const files: string[] = [];
for await (const file of glob("{services,test}/**/*.test.ts", {
  cwd: ROOT,
  exclude: (path) => path.includes("node_modules") || path.startsWith("test/conformance"),
})) {
  if (new RegExp(number).test(await readFile(join(ROOT, file), "utf8"))) files.push(file);
}
print(`running the numbered tests of ${files.length} files`);
const { tests, exitCode } = await runVitest({
  args: [...files, "--testNamePattern", number],
  quiet: true,
});
const standings = tallyLines(checklists, tests);
for (const { upstream, passed, failed, missing } of standings) {
  print(`\n${upstream}`);
  print(`  passed   ${passed.join(" ") || "none"}`);
  print(`  failed   ${failed.join(" ") || "none"}`);
  print(`  not yet  ${missing.join(" ") || "none"}`);
}
const someFailed = standings.some(({ failed }) => failed.length > 0);
if (exitCode !== 0 && !someFailed) print("\nsome files could not run: `npm test` says why");
print("");
for (const standing of standings) print(renderStanding(standing));
process.exitCode = exitCode;
