import { AppError } from "@headgate/kit/errors";
import { expect, test } from "vitest";
import { createStatus } from "./status.ts";

const away = new AppError("unavailable", "away", "Away.");

test("sums lag over partitions and tells parts that answer from parts that are silent", async () => {
  const status = createStatus({
    version: "1",
    probes: [
      { name: "chat", ask: async () => ({}) },
      { name: "registry", ask: () => Promise.reject(away) },
      { name: "limiter", ask: () => Promise.reject(new AppError("not_found", "x", "None.")) },
    ],
    kafka: {
      lag: async () => [
        { group: "chat", topic: "t", partition: 0, lag: 2 },
        { group: "chat", topic: "t", partition: 1, lag: 3 },
      ],
    },
  });
  expect(await status()).toEqual({
    version: "1",
    parts: [
      { name: "log", isReady: true },
      { name: "chat", isReady: true },
      { name: "registry", isReady: false },
      { name: "limiter", isReady: true },
    ],
    groups: [{ group: "chat", topic: "t", lag: 5 }],
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
