import { expect, test } from "vitest";
import { createLoad } from "./load.ts";

const overloaded = expect.objectContaining({ reason: "overloaded" });

/** A Kafka that acknowledges nothing. */
function createKafka() {
  return { publish: () => new Promise<void>(() => {}) };
}

test("a Kafka that stands still takes on few, whatever the rate was", async () => {
  const load = createLoad({ now: () => 0 });
  const { publish } = createKafka();
  for (let at = 0; at < 512; at++) {
    load.check("a");
    void load.run("a", 1, publish);
  }
  expect(() => load.check("a")).toThrow(overloaded);
  await expect(load.run("a", 1, publish)).rejects.toThrow(overloaded);
  expect(load.waiting).toBe(512);
});

test("the bound follows the rate: no more wait than Kafka acknowledges in 50 ms", async () => {
  let nowMs = 0;
  const load = createLoad({ now: () => nowMs });
  for (let at = 0; at < 4000; at++) {
    nowMs += 0.5; // 20 acknowledged in each ms in all
    await Promise.all(Array.from({ length: 10 }, () => load.run("a", 1, async () => {})));
  }
  expect(load.limit).toBeGreaterThan(980);
  expect(load.limit).toBeLessThan(1020);
});

test("a hook that waits with its share is refused, and no request of a quiet hook is", async () => {
  const load = createLoad({ now: () => 0 });
  const { publish } = createKafka();
  void load.run("quiet", 1, publish);
  let refused = 0;
  for (let at = 0; at < 1_500; at++) void load.run("busy", 1, publish).catch(() => refused++);
  for (let at = 0; at < 15; at++) {
    load.check("quiet");
    void load.run("quiet", 1, publish);
  }
  await Promise.resolve();
  expect(() => load.check("busy")).toThrow(overloaded);
  expect(load.waiting).toBe(256 + 16);
});

test("many hooks at their shares leave room for one that has little waiting", () => {
  const load = createLoad({ now: () => 0 });
  const { publish } = createKafka();
  for (const hook of ["a", "b", "c"]) {
    for (let at = 0; at < 1_000; at++) void load.run(hook, 1, publish).catch(() => {});
  }
  for (const hook of ["a", "b", "c"]) expect(() => load.check(hook)).toThrow(overloaded);
  load.check("quiet");
});

test("a quiet hook's request goes to Kafka before the backlog of a busy one", async () => {
  const load = createLoad({ now: () => 0 });
  const kafka = createKafka();
  const started: string[] = [];
  const publish = (hook: string) => () => {
    started.push(hook);
    return kafka.publish();
  };
  void load.run("quiet", 1, publish("quiet"));
  for (let at = 0; at < 250; at++) void load.run("busy", 1, publish("busy"));
  void load.run("quiet", 1, publish("quiet"));
  expect(started.length).toBeLessThan(150);
  expect(started.at(-1)).toBe("quiet");
});

test("the events that wait are bounded, of one hook and of all", async () => {
  const load = createLoad({ now: () => 0 });
  const { publish } = createKafka();
  for (let at = 0; at < 16; at++) void load.run("a", 1_000, publish);
  await expect(load.run("a", 1_000, publish)).rejects.toThrow(overloaded);
  for (const hook of ["b", "c"]) {
    for (let at = 0; at < 16; at++) void load.run(hook, 1_000, publish);
  }
  void load.run("d", 1_000, publish);
  await expect(load.run("e", 1_000, publish)).rejects.toThrow(overloaded);
});
