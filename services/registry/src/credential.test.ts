import { AppError } from "@headgate/kit/errors";
import { expect, test } from "vitest";
import { createSealer, createToken, DIALECTS, digestOf, hintOf, isToken } from "./credential.ts";

const KEY = new Uint8Array(32).fill(7);

test("credentials never come twice and are told apart by their last four characters", () => {
  for (const [, form] of DIALECTS) {
    const made = new Set(Array.from({ length: 200 }, form.create));
    expect(made.size).toBe(200);
    const [one = ""] = made;
    expect(one.endsWith(hintOf(one))).toBe(true);
  }
});

test("Mattermost's credentials hold the 128 bits of a random UUID, the last character its last three", () => {
  const alphabet = "ybndrfg8ejkmcpqxot1uwisza345h769";
  const create = DIALECTS.get("mattermost")?.create ?? (() => "");
  for (let round = 0; round < 50; round++) {
    const bits = [...create()]
      .map((character) => alphabet.indexOf(character).toString(2).padStart(5, "0"))
      .join("");
    expect(bits).toHaveLength(130);
    expect(bits.slice(128)).toBe("00");
    expect(bits.slice(48, 52)).toBe("0100"); // version 4
    expect(bits.slice(64, 66)).toBe("10"); // variant
  }
});

test("tokens have the form that is asked of them", () => {
  expect(isToken(createToken())).toBe(true);
  for (const text of ["hg_", `hgi_${"a".repeat(43)}`, `hg_${"a".repeat(42)}+`]) {
    expect(isToken(text)).toBe(false);
  }
});

test("digests are SHA-256 of the text", () => {
  expect(Buffer.from(digestOf("abc")).toString("hex")).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

test("a sealed credential opens for its own hook and key, and for nothing else", () => {
  const sealer = createSealer(KEY);
  const sealed = sealer.seal("secret", "hook-1");
  expect(sealer.open(sealed, "hook-1")).toBe("secret");
  expect(Buffer.from(sealed).includes("secret")).toBe(false);
  expect(sealer.seal("secret", "hook-1")).not.toEqual(sealed);
  const changed = Uint8Array.from(sealed);
  changed[15] = (changed[15] ?? 0) ^ 1;
  const strangers = [
    () => sealer.open(sealed, "hook-2"),
    () => createSealer(new Uint8Array(32)).open(sealed, "hook-1"),
    () => sealer.open(changed, "hook-1"),
    () => sealer.open(sealed.subarray(0, 20), "hook-1"),
    () => sealer.open(Uint8Array.of(2, ...sealed.subarray(1)), "hook-1"),
  ];
  for (const open of strangers) {
    expect(open).toThrow(AppError);
    expect(open).toThrow("A credential cannot be read.");
  }
});
