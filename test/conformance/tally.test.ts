import { expect, test } from "vitest";
import { readChecklists, renderStanding, tallyLines } from "./tally.ts";

const checklists = { monotree: { prefix: "MT", lines: 4 } };

test("a line fails when one of its tests does, whatever the others say", () => {
  const [standing] = tallyLines(checklists, [
    { name: "in memory MT-1 takes a text", passed: true },
    { name: "MT-1 takes a text", passed: false },
    { name: "MT-2 MT-3 refuses a number", passed: true },
    { name: "MT-1 again", passed: true },
  ]);
  expect(standing).toEqual({
    upstream: "monotree",
    passed: ["MT-2", "MT-3"],
    failed: ["MT-1"],
    missing: ["MT-4"],
  });
});

test("numbers beyond the checklist count for nothing", () => {
  const standings = tallyLines(checklists, [{ name: "MT-5 what is not there", passed: true }]);
  expect(standings.map(renderStanding)).toEqual(["monotree: 0 passed, 0 failed, 4 not yet"]);
});

test("every upstream has a checklist with a prefix of its own", async () => {
  const lists = Object.values(await readChecklists());
  expect(new Set(lists.map(({ prefix }) => prefix)).size).toBe(lists.length);
  expect(lists.every(({ lines }) => lines > 0)).toBe(true);
});
