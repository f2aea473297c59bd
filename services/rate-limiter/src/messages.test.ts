import { create } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import {
  AdmitRequestSchema,
  PeekRequestSchema,
  SettleRequestSchema,
} from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { expect, test } from "vitest";
import { toAsks, toBudgets, toSettlements } from "./messages.ts";

const window = { case: "fixedWindow", value: { limit: 5, windowSeconds: 60 } } as const;
const digest = new Uint8Array(32);

/** The pointers of the faults that reading throws. */
function faultsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (thrown) {
    const error = AppError.from(thrown);
    expect([error.code, error.reason]).toEqual(["invalid_argument", "request_invalid"]);
    return error.faults.map(({ pointer }) => pointer);
  }
  return [];
}

test("reads windows in ms and buckets as they are", () => {
  const bucket = { case: "tokenBucket", value: { perMinute: 60, burst: 5 } } as const;
  const request = create(PeekRequestSchema, {
    budgets: [
      { key: "a", rule: window },
      { key: "b", rule: bucket },
    ],
  });
  expect(toBudgets(request)).toEqual([
    { key: "a", rule: { kind: "window", limit: 5, windowMs: 60_000 } },
    { key: "b", rule: { kind: "bucket", perMinute: 60, burst: 5 } },
  ]);
});

test("gives scope and key a digest of their own, however they are cut", () => {
  const read = (scope: string, key: string) =>
    toAsks(
      create(AdmitRequestSchema, { items: [{ idempotency: { scope, key, bodyDigest: digest } }] }),
    )[0]?.claim?.id;
  expect(read("ab", "c")).toBe(read("ab", "c"));
  expect(new Set([read("ab", "c"), read("a", "bc"), read("abc", ":"), read("a", ":bc")]).size).toBe(
    4,
  );
  expect(read("hook", "secret")).not.toContain("secret");
});

test("takes a key of 255 code points, of two units each too, and refuses one more", () => {
  const read = (key: string) =>
    faultsOf(() =>
      toSettlements(create(SettleRequestSchema, { settlements: [{ scope: "hook", key }] })),
    );
  expect(read("😀".repeat(255))).toEqual([]);
  expect(read("😀".repeat(256))).toEqual(["/settlements/0/key"]);
  expect(read("")).toEqual(["/settlements/0/key"]);
});

test("names every fault of a request", () => {
  const request = create(AdmitRequestSchema, {
    items: [
      { budgets: [{ key: "", rule: window }] },
      { budgets: [{ key: "é".repeat(101), rule: window }] },
      { budgets: [{ key: "none" }] },
      { budgets: [{ key: "zero", rule: { case: "fixedWindow", value: {} } }] },
      {
        budgets: [
          { key: "much", rule: { case: "tokenBucket", value: { perMinute: 1, burst: 1_000_001 } } },
        ],
      },
      { idempotency: { scope: "", key: "k", bodyDigest: new Uint8Array(31) } },
      { budgets: Array.from({ length: 9 }, (_, at) => ({ key: `${at}`, rule: window })) },
      {
        budgets: [
          { key: "same", rule: window },
          { key: "same", rule: window },
        ],
      },
    ],
  });
  expect(faultsOf(() => toAsks(request))).toEqual([
    "/items/0/budgets/0/key",
    "/items/1/budgets/0/key",
    "/items/2/budgets/0/rule",
    "/items/3/budgets/0/fixed_window/limit",
    "/items/3/budgets/0/fixed_window/window_seconds",
    "/items/4/budgets/0/token_bucket/burst",
    "/items/5/idempotency/scope",
    "/items/5/idempotency/body_digest",
    "/items/6/budgets",
    "/items/7/budgets",
  ]);
});

test("refuses none and more than 1,000", () => {
  expect(faultsOf(() => toAsks(create(AdmitRequestSchema, { items: [] })))).toEqual(["/items"]);
  const items = Array.from({ length: 1_001 }, () => ({}));
  expect(faultsOf(() => toAsks(create(AdmitRequestSchema, { items })))).toEqual(["/items"]);
});

test("keeps answers up to 4 KiB and forgets for an empty one", () => {
  const read = (bytes: number) =>
    toSettlements(
      create(SettleRequestSchema, {
        settlements: [{ scope: "hook", key: "k", answer: new Uint8Array(bytes) }],
      }),
    )[0];
  expect(read(4_096)?.answer).toHaveLength(4_096);
  expect(read(0)).toMatchObject({ answer: undefined });
  expect(faultsOf(() => read(4_097))).toEqual(["/settlements/0/answer"]);
});
