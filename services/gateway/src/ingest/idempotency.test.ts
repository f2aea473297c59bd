import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { expect, test } from "vitest";
import type { Admission, HookReply } from "../dialect.ts";
import { digestParts, keyRequest, once } from "./idempotency.ts";

const scope = createId();
const REPLY: HookReply = { status: 202, body: "new" };

function run(decision: Admission["decision"], work: () => Promise<HookReply>) {
  const settled: (Uint8Array | undefined)[] = [];
  const gate = {
    settle: async (_claim: unknown, answer: Uint8Array | undefined) => {
      settled.push(answer);
    },
  };
  const keyed = keyRequest({ scope, kind: "event", key: "k", parts: ["body"] });
  const admission = { decision, answer: Buffer.from("kept"), retryAfterMs: 700 };
  const reply = once(gate, keyed, admission, {
    work: async () => ({ reply: await work(), kept: Buffer.from("1") }),
    replay: (kept) => ({ status: 202, body: `again ${Buffer.from(kept).toString()}` }),
  });
  return { reply, settled };
}

test("the first request of a key does the work and keeps what tells its replay apart", async () => {
  const { reply, settled } = run("admitted", async () => REPLY);
  expect(await reply).toEqual(REPLY);
  expect(settled).toEqual([Buffer.from("1")]);
});

test("a replay does no work, is made from what was kept, and says so", async () => {
  const { reply, settled } = run("replay", () => Promise.reject(new Error("work was done")));
  expect(await reply).toEqual({
    status: 202,
    body: "again kept",
    headers: { "Idempotency-Replayed": "true" },
  });
  expect(settled).toEqual([]);
});

test.each(["log_unavailable", "log_unsure", "overloaded", "event_invalid"])(
  "work that fails with %s forgets the claim",
  async (reason) => {
    const error = new AppError("unavailable", reason, "Failed.");
    const { reply, settled } = run("admitted", () => Promise.reject(error));
    await expect(reply).rejects.toBe(error);
    expect(settled).toEqual([undefined]);
  },
);

test.each([
  ["conflict", "idempotency_key_reused", 422],
  ["in_progress", "idempotency_in_progress", 409],
] as const)("%s is refused as %s with %d", async (decision, reason, httpStatus) => {
  await expect(run(decision, async () => REPLY).reply).rejects.toMatchObject({
    reason,
    httpStatus,
  });
});

test("ids differ by scope, endpoint, key, body and index, and are the same for the same", () => {
  const base = { scope, kind: "event", key: "k", parts: ["a", "b"] };
  const variants = [
    base,
    { ...base, scope: createId() },
    { ...base, kind: "batch" },
    { ...base, key: "k2" },
    { ...base, key: "0:k" },
    { ...base, parts: ["ab", ""] },
    { ...base, parts: ["a", "b", ""] },
  ];
  const ids = variants.flatMap((asked) => [0, 1, 10].map(keyRequest(asked).idOf));
  expect(new Set(ids).size).toBe(ids.length);
  expect([0, 1, 10].map(keyRequest({ ...base }).idOf)).toEqual(ids.slice(0, 3));
});

test("a digest tells apart where one part ends and the next begins, as text and as bytes alike", () => {
  expect(digestParts(["a", "1:b"])).not.toEqual(digestParts(["a1:", "b"]));
  expect(digestParts(["ä"])).toEqual(digestParts([Buffer.from("ä")]));
});
