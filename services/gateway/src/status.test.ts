import { AppError } from "@headgate/kit/errors";
import { expect, test } from "vitest";
import { createStatus } from "./status.ts";

const away = new AppError("unavailable", "away", "Away.");

test("sums lag over partitions, says since when, and tells parts that answer from parts that are silent", async () => {
  const status = createStatus({
    version: "1",
    probes: [
      { name: "chat", ask: async () => ({}), version: () => "1.2.3" },
      { name: "registry", ask: () => Promise.reject(away) },
      { name: "limiter", ask: () => Promise.reject(new AppError("not_found", "x", "None.")) },
    ],
    kafka: {
      lag: async () => [
        { group: "chat", topic: "t", partition: 0, lag: 2, oldestMs: 8_500 },
        { group: "chat", topic: "t", partition: 1, lag: 3, oldestMs: 7_250 },
        { group: "chat", topic: "t", partition: 2, lag: 0, oldestMs: undefined },
        { group: "wall", topic: "u", partition: 0, lag: 0, oldestMs: undefined },
        { group: "wall", topic: "v", partition: 0, lag: 1, oldestMs: undefined },
      ],
    },
    now: () => 10_000,
  });
  expect(await status()).toEqual({
    version: "1",
    parts: [
      { name: "log", isReady: true },
      { name: "chat", isReady: true, version: "1.2.3" },
      { name: "registry", isReady: false },
      { name: "limiter", isReady: true },
    ],
    groups: [
      { group: "chat", topic: "t", lag: 5, lagSeconds: 2.75 },
      { group: "wall", topic: "u", lag: 0, lagSeconds: 0 },
      { group: "wall", topic: "v", lag: 1, lagSeconds: undefined },
    ],
    oldestUndelivered: new Date(7_250),
  });
});

test("reports a log that is away instead of failing", async () => {
  const status = createStatus({
    version: "1",
    probes: [],
    kafka: { lag: () => Promise.reject(away) },
  });
  expect(await status()).toMatchObject({ parts: [{ name: "log", isReady: false }], groups: [] });
});
