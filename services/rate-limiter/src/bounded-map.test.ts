import { expect, test } from "vitest";
import { createBoundedMap } from "./bounded-map.ts";

test("lets go of what was set longest ago", () => {
  const map = createBoundedMap<number>({ sizeMax: 2 });
  map.set("a", 1);
  map.set("b", 2);
  map.set("a", 3);
  map.set("c", 4);
  expect([map.get("a"), map.get("b"), map.get("c"), map.size()]).toEqual([3, undefined, 4, 2]);
});

test("keeps the sum of weights within its bound, also when values are replaced and removed", () => {
  const map = createBoundedMap<string>({
    sizeMax: 100,
    weigh: (text) => text.length,
    weightMax: 10,
  });
  map.set("a", "xxxxx");
  map.set("b", "xxxxx");
  map.set("a", "x");
  map.set("c", "xxxx");
  expect([map.get("a"), map.get("b"), map.get("c")]).toEqual(["x", "xxxxx", "xxxx"]);
  map.delete("b");
  map.set("d", "xxxxx");
  expect(map.size()).toBe(3);
  map.set("e", "x");
  expect([map.get("a"), map.get("c")]).toEqual([undefined, "xxxx"]);
});

test("does not keep a value that is too heavy alone", () => {
  const map = createBoundedMap<string>({ sizeMax: 9, weigh: (text) => text.length, weightMax: 3 });
  map.set("a", "xxxx");
  expect(map.size()).toBe(0);
});
