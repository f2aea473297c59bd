import { expect, test } from "vitest";
import { AppError } from "./errors.ts";
import {
  countCodePoints,
  hasInvalidCharacters,
  JsonText,
  parseJson,
  readMemberText,
  splitJsonArray,
  stringifyJson,
} from "./json.ts";

function reasonOf(
  body: string | Uint8Array,
  options?: { depthMax?: number; valuesMax?: number },
): string {
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
  "keeps a key __proto__ as an own member that reaches no prototype: %s",
  (body) => {
    const parsed = parseJson(Buffer.from(body)) as object;
    expect(Object.keys(parsed)).toEqual(["__proto__", "a"]);
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect({ ...parsed }).not.toHaveProperty("admin");
    expect(JSON.stringify(parsed)).toBe('{"__proto__":{"admin":true},"a":1}');
  },
);

test("accepts values up to the bound and refuses one more, whatever stands in strings", () => {
  const list = (count: number) => `[${Array.from({ length: count }, () => "1").join(",")}]`;
  expect(reasonOf(list(9_999))).toBe("parsed");
  expect(reasonOf(list(10_001))).toBe("json_too_many_values");
  expect(reasonOf(list(10), { valuesMax: 5 })).toBe("json_too_many_values");
  expect(reasonOf(JSON.stringify(",{[".repeat(10_000)))).toBe("parsed");
});

test("the largest body that is accepted costs a small multiple of parsing it", () => {
  const keys = Array.from({ length: 9_900 }, (_, at) => `"k${at}\\u0041":1`);
  const body = Buffer.from(`{${keys.join(",")}}`);
  const text = body.toString();
  const fastest = (work: () => void) => {
    const times = Array.from({ length: 15 }, () => {
      const startedMs = performance.now();
      work();
      return performance.now() - startedMs;
    });
    return Math.min(...times);
  };
  const plainMs = fastest(() => JSON.parse(text));
  expect(fastest(() => parseJson(body)) / plainMs).toBeLessThan(4);
});

test.each([
  ["[]", []],
  [" [ ] ", []],
  ['\ufeff[1, {"a":[2,"],"]} ,3]', ["1", ' {"a":[2,"],"]} ', "3"]],
  ['["\\"",2]', ['"\\""', "2"]],
  ["[1,]", ["1", ""]],
])("splits %j into its elements", (text, elements) => {
  expect(splitJsonArray(Buffer.from(text), 10).map(String)).toEqual(elements);
});

test.each(["", "{}", "[", "[1", "[1]]", "[1}", "[1] x", '["'])(
  "says that %j is no array",
  (text) => {
    expect(() => splitJsonArray(Buffer.from(text), 10)).toThrow(
      expect.objectContaining({ reason: "json_malformed" }),
    );
  },
);

test("splits no further than one element too many", () => {
  expect(splitJsonArray(Buffer.from(`[${"1,".repeat(1_000)}1]`), 10)).toHaveLength(11);
});

test.each([
  ['{"props":{"a": 12345678901234567890,"b":1e400}}', '{"a": 12345678901234567890,"b":1e400}'],
  ['{ "x" : {"props":1} , "\\u0070rops" : [1.10] }', "[1.10]"],
  ['{"props":1,"props": 2 }', "2"],
  ['\ufeff{"a":"}","props":"x,\\""}', '"x,\\""'],
  ["{}", undefined],
  ['{"a":1}', undefined],
])("finds the text of a member in %j", (body, text) => {
  expect(readMemberText(Buffer.from(body), "props")).toBe(text);
});

test("writes a JSON text as it was sent, on one line", () => {
  const props = new JsonText('{"a":\r\n 12345678901234567890, "b":1e400,"__proto__":"\\n"}');
  const list = { data: [{ props, id: 1 }, { props: null }, { props: new JsonText("1.10") }] };
  expect(stringifyJson(list)).toBe(
    '{"data":[{"props":{"a":  12345678901234567890, "b":1e400,"__proto__":"\\n"},"id":1},{"props":null},{"props":1.10}]}',
  );
  expect(stringifyJson({ a: 1 })).toBe('{"a":1}');
  expect(JSON.stringify({ props: new JsonText("1.10") })).toBe('{"props":1.1}');
});

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
