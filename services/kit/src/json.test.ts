import { expect, test } from "vitest";
import { AppError } from "./errors.ts";
import { countCodePoints, hasInvalidCharacters, parseJson } from "./json.ts";

function reasonOf(body: string | Uint8Array, options?: { depthMax?: number }): string {
  try {
    parseJson(Buffer.from(body), options);
    return "parsed";
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    expect(thrown.code).toBe("invalid_argument");
    return thrown.reason;
  }
}

test("parses any JSON value, with a byte order mark or without", () => {
  expect(parseJson(Buffer.from('{"a":[1,"ü",null]}'))).toEqual({ a: [1, "ü", null] });
  expect(parseJson(Buffer.from("\ufeff true "))).toBe(true);
  expect(parseJson(Buffer.from('xx"view"yy').subarray(2, 8))).toBe("view");
});

test.each(["", " ", "\ufeff", "{", "{'a':1}", "[1,]", "nul", '"\n"', "01", "1 2"])(
  "says that %j is malformed",
  (body) => {
    expect(reasonOf(body)).toBe("json_malformed");
  },
);

test.each([
  ["a stray byte", [0x22, 0xff, 0x22]],
  ["an overlong form", [0x22, 0xc0, 0xaf, 0x22]],
  ["a surrogate", [0x22, 0xed, 0xa0, 0x80, 0x22]],
  ["a character cut short", [0x22, 0xe2, 0x82]],
])("refuses UTF-8 with %s", (_, bytes) => {
  expect(reasonOf(Uint8Array.from(bytes))).toBe("json_encoding");
});

test("accepts nesting up to the bound and refuses one more, whatever stands in strings", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  expect(reasonOf(nested(32))).toBe("parsed");
  expect(reasonOf(nested(33))).toBe("json_too_deep");
  expect(reasonOf('{"a":{"b":[1]}}', { depthMax: 3 })).toBe("parsed");
  expect(reasonOf('{"a":{"b":[1]}}', { depthMax: 2 })).toBe("json_too_deep");
  expect(reasonOf(`["${"[{".repeat(50)}\\"${"[".repeat(50)}"]`)).toBe("parsed");
  expect(reasonOf(`[${"[],".repeat(100)}{}]`)).toBe("parsed");
});

test("refuses a million levels without a stack of its own", () => {
  expect(reasonOf("[".repeat(1_000_000))).toBe("json_too_deep");
});

test.each(['{"__proto__":{"admin":true},"a":1}', '{"\\u005f_proto__":{"admin":true},"a":1}'])(
  "leaves the key out that would reach a prototype: %s",
  (body) => {
    const parsed = parseJson(Buffer.from(body));
    expect(Object.keys(parsed as object)).toEqual(["a"]);
    expect(Object.assign({}, parsed)).not.toHaveProperty("admin");
  },
);

test("takes the last of equal keys", () => {
  expect(parseJson(Buffer.from('{"a":1,"a":2}'))).toEqual({ a: 2 });
});

test("tells nothing of the body in its errors", () => {
  try {
    parseJson(Buffer.from('{"token":"hunter2"'));
    expect.unreachable();
  } catch (thrown) {
    expect(JSON.stringify([String(thrown), (thrown as Error).cause])).not.toContain("hunter2");
  }
});

test.each([
  ["", 0],
  ["abc", 3],
  ["ü€", 2],
  ["👍", 1],
  ["a👍b", 3],
  ["\ud83d", 1],
  ["\udc4d\ud83d", 2],
  ["👩‍👧", 3],
])("counts the code points of %j: %i", (text, count) => {
  expect(countCodePoints(text)).toBe(count);
});

test("finds what Postgres and UTF-8 cannot hold", () => {
  expect(hasInvalidCharacters("fine 👍\n\t")).toBe(false);
  expect(hasInvalidCharacters("a\0b")).toBe(true);
  expect(hasInvalidCharacters("\ud83d")).toBe(true);
  expect(hasInvalidCharacters("\udc4d\ud83d")).toBe(true);
});
