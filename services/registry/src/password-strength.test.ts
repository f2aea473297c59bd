import { describe, expect, test } from "vitest";
import { isGuessable } from "./password-strength.ts";

const names = ["mira.stone", "Mira Stone", "mira@example.org"];

describe("a password is refused as guessable", () => {
  test.each([
    "password",
    "PassWord",
    "password1!",
    "12345678",
    "87654321",
    "qwertyuiop",
    "aaaaaaaa",
    "abababab",
    "abcdefgh",
    "mira.stone",
    "Mira.Stone2026",
    "mira stone",
    "mira@example.org",
    "ｐａｓｓｗｏｒｄ",
  ])("%s", (password) => {
    expect(isGuessable(password, names)).toBe(true);
  });
});

describe("a password is taken", () => {
  test.each(["correct horse battery", "quiet-otter-42", "mira.stone rows home", "ß4ä漢字-kk"])(
    "%s",
    (password) => {
      expect(isGuessable(password, names)).toBe(false);
    },
  );

  test("in linear time, however it is built", () => {
    for (const unit of ["a", "ab1", "1", "!a", "é"]) isGuessable(unit.repeat(128), names);
  });
});
