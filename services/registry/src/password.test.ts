import { expect, test } from "vitest";
import { createPasswords } from "./password.ts";

const passwords = createPasswords({ logN: 4 });

test("a hash knows its own password, however it was typed, and no other", async () => {
  const hash = await passwords.hash("Zoe\u0301 1234");
  expect(await passwords.verify("Zo\u00e9 1234", hash)).toBe(true);
  expect(await passwords.verify("zo\u00e9 1234", hash)).toBe(false);
  expect(await passwords.hash("Zoe\u0301 1234")).not.toBe(hash);
  expect(hash).not.toContain("1234");
});

test("without a hash the answer is no, after as much work", async () => {
  const real = createPasswords({ logN: 14 });
  const hash = await real.hash("password");
  const timeOf = async (known: string | undefined) => {
    const startMs = performance.now();
    expect(await real.verify("wrong one", known)).toBe(false);
    return performance.now() - startMs;
  };
  const known: number[] = [];
  const unknown: number[] = [];
  for (let round = 0; round < 5; round++) {
    known.push(await timeOf(hash));
    unknown.push(await timeOf(undefined));
  }
  // The shortest of each: a pause of the machine only adds.
  expect(Math.min(...unknown)).toBeGreaterThan(Math.min(...known) / 5);
});

test("a flood waits in line, and beyond the line is told to come again", async () => {
  const flood = await Promise.allSettled(
    Array.from({ length: 50 }, () => passwords.verify("x", undefined)),
  );
  const refused = flood.filter(({ status }) => status === "rejected");
  expect(refused).toHaveLength(50 - 34);
  expect(refused[0]).toMatchObject({ reason: { reason: "passwords_busy", retryAfterMs: 1_000 } });
  expect(await passwords.verify("x", undefined)).toBe(false);
});
