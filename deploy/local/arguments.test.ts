import { expect, test } from "vitest";
import { readArguments } from "./arguments.ts";
import { LocalFault } from "./fault.ts";

test("a start without arguments recovers no admin", () => {
  expect(readArguments([])).toEqual({ recoverAdmin: false });
  expect(readArguments(["--recover-admin"])).toEqual({ recoverAdmin: true });
});

test.each([["--recover"], ["start"], ["--recover-admin=yes"]])(
  "%s is refused by name, with exit code 64",
  (word) => {
    const read = () => readArguments([word]);
    expect(read).toThrow(LocalFault);
    expect(read).toThrow(expect.objectContaining({ exitCode: 64 }));
    expect(read).toThrow(word.split("=")[0]);
    expect(read).toThrow("npm start -- --help");
  },
);
