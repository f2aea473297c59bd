import { AppError } from "@headgate/kit/errors";
import { createLog } from "@headgate/kit/log";
import { expect, test } from "vitest";
import { type AskAdmission, type AskedAdmission, createAdmissions } from "./admissions.ts";
import type { Admission, Budget } from "./dialect.ts";

const budget = (key: string): Budget => ({
  key,
  rule: { case: "fixedWindow", value: { limit: 5, windowSeconds: 60 } },
});
const admitted: Admission = {
  decision: "admitted",
  budgets: [],
  retryAfterMs: 0,
  answer: new Uint8Array(),
};

function open(admit: AskAdmission["admit"]) {
  let nowMs = 0;
  const log = createLog({ service: "gateway", write: () => {} });
  const limiter = { admit, settle: async () => {}, peek: async () => [] };
  const admissions = createAdmissions({ limiter, log, now: () => nowMs });
  return {
    admissions,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("who has no budget and no key is answered without asking", async () => {
  const { admissions } = open(() => Promise.reject(new Error("asked")));
  expect((await admissions.admit([])).decision).toBe("admitted");
});

test("requests of one moment are asked in one call, each getting its own answer", async () => {
  const calls: (readonly AskedAdmission[])[] = [];
  const { admissions } = open(async (items) => {
    calls.push(items);
    return items.map(({ budgets }) => ({ ...admitted, retryAfterMs: Number(budgets[0]?.key) }));
  });
  const answers = await Promise.all(
    Array.from({ length: 501 }, (_, at) => admissions.admit([budget(`${at}`)])),
  );
  expect(answers.map(({ retryAfterMs }) => retryAfterMs)).toEqual(answers.map((_, at) => at));
  expect(calls.map(({ length }) => length)).toEqual([500, 1]);
});

test("without the rate-limiter all are let through, and nobody asks again for a moment", async () => {
  let calls = 0;
  const { admissions, pass } = open(() => {
    calls += 1;
    return Promise.reject(new AppError("unavailable", "away", "Away."));
  });
  expect((await admissions.admit([budget("a")])).decision).toBe("admitted");
  expect((await admissions.admit([budget("a")])).decision).toBe("admitted");
  expect(await admissions.peek([budget("a")])).toEqual([{ limit: 5, remaining: 5, resetMs: 0 }]);
  expect(calls).toBe(1);
  pass(1001);
  await admissions.admit([budget("a")]);
  expect(calls).toBe(2);
});
