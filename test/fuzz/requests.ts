/**
 * Requests as a hostile or a broken sender would make them: near-valid bodies of each dialect with wrong types, odd
 * texts and foreign members, wrapped in true and false content types, methods, encodings and lengths.
 */
import fc from "fast-check";
import { MARK } from "./marks.ts";
import { payloads } from "./payloads.ts";

/** A request to send. Its texts hold MARK in the place of the mark that the sender gives it. */
export type FuzzRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Partial<Record<string, string>>>;
  readonly body: Buffer;
  /** Send the body in pieces, without a declared length. */
  readonly chunked: boolean;
};

const contentType = fc.oneof(
  { weight: 6, arbitrary: fc.constant("application/json") },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "application/json; charset=utf-8",
      "application/json;charset=iso-8859-1",
      "application/x-www-form-urlencoded",
      "application/x-www-form-urlencoded wrongtext",
      "multipart/form-data; boundary=b",
      "multipart/form-data",
      "text/plain",
      "application/vnd.x+json",
      "mimetype/wrong",
      "application/x-ndjson",
      "/",
      ";",
      "",
    ),
  },
);

/** Mostly none, so that the type is the one that goes with the bytes. */
const falseType = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: contentType },
);

/** How the payload becomes bytes: rightly, as a form, as a part, cut short, or as noise; with the type that goes with it. */
function encode(payload: unknown): fc.Arbitrary<{ body: Buffer; type: string }> {
  const json = JSON.stringify(payload) ?? "null";
  const form = new URLSearchParams({ payload: json }).toString();
  const part = (name: string, value: string) =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const as = (type: string, text: string) => fc.constant({ body: Buffer.from(text), type });
  const isJson = (body: Buffer) => ({ body, type: "application/json" });
  return fc.oneof(
    { weight: 24, arbitrary: as("application/json", json) },
    { weight: 2, arbitrary: as("application/x-www-form-urlencoded", form) },
    {
      weight: 1,
      arbitrary: as("multipart/form-data; boundary=b", `${part("payload", json)}--b--\r\n`),
    },
    {
      weight: 1,
      arbitrary: as(
        "multipart/form-data; boundary=b",
        `${part("text", json)}${part("attachments", "[{}]")}--b--`,
      ),
    },
    {
      weight: 1,
      arbitrary: fc.nat(json.length).map((at) => isJson(Buffer.from(json.slice(0, at)))),
    },
    { weight: 1, arbitrary: fc.nat(form.length).map((at) => isJson(Buffer.from(form.slice(at)))) },
    { weight: 1, arbitrary: fc.nat(json.length).map((at) => isJson(spoil(json, at))) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((b) => isJson(Buffer.from(b))) },
    { weight: 1, arbitrary: as("application/json", `[${json},${json}]`) },
    { weight: 1, arbitrary: as("application/x-ndjson", `${json}\n${json}\r\n\n{}`) },
    { weight: 1, arbitrary: as("application/json", `\uFEFF ${json}\n`) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(31, 50, 2_000)
        .map((depth) => isJson(Buffer.from(`{"props":${"[".repeat(depth)}${"]".repeat(depth)}}`))),
    },
  );
}

/** The text with one byte that is no UTF-8. */
function spoil(text: string, at: number): Buffer {
  const bytes = Buffer.from(text);
  bytes[Math.min(at, bytes.length - 1)] = 0xff;
  return bytes;
}

const method = fc.oneof(
  { weight: 30, arbitrary: fc.constant("POST") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "GET",
      "PUT",
      "DELETE",
      "PATCH",
      "OPTIONS",
      "HEAD",
      "TRACE",
      "QUERY",
    ),
  },
);

const pathTail = fc.oneof(
  { weight: 26, arbitrary: fc.constant("") },
  { weight: 2, arbitrary: fc.constantFrom("/batch", "?wait=readable") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "/",
      "/batch/",
      "x",
      "?wait=readable&wait=readable",
      "?wait=no",
      "?%",
      "/%00",
      "%2e%2e",
      "/../..",
      "//",
      "?payload=%7B%7D",
      `?${"q".repeat(3_000)}`,
    ),
  },
);

const oddHeaders = fc.record(
  {
    "content-encoding": fc.constantFrom("gzip", "identity", "br", ""),
    "idempotency-key": fc.oneof(
      fc.constant(MARK),
      fc.constantFrom("", '"k"', "k", "x".repeat(300), "\u00e9", '"', '"a"b"'),
    ),
    authorization: fc.constantFrom("Bearer nope", "x"),
    traceparent: fc.constantFrom("00-0-0-0", `00-${"a".repeat(32)}-${"b".repeat(16)}-01`),
    expect: fc.constant("100-continue"),
    "x-forwarded-for": fc.constantFrom("1.2.3.4", "'; drop table", "::1, x"),
    cookie: fc.constantFrom("headgate_session=hg_x", "=;;="),
  },
  { requiredKeys: [] },
);
const odd = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Partial<Record<string, string>>>({}) },
  { weight: 1, arbitrary: oddHeaders },
);

/** Requests to one hook path. */
export function requestsTo(
  dialect: keyof typeof payloads,
  path: string,
): fc.Arbitrary<FuzzRequest> {
  return payloads[dialect].chain((payload) =>
    fc
      .record({
        method,
        tail: pathTail,
        type: falseType,
        odd,
        encoded: encode(payload),
        chunked: fc.boolean(),
      })
      .map(({ method, tail, type, odd, encoded, chunked }) => ({
        method,
        path: path + tail,
        headers: { "content-type": type ?? encoded.type, ...odd },
        body: encoded.body,
        chunked,
      })),
  );
}
