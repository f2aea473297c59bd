/** Requests that are no good HTTP, or good HTTP that few senders write: what no client library would let out. */
import { bytes, type Step, type Wire } from "./raw.ts";
import { toChunks } from "./wire.ts";

/** One connection's worth of bytes. */
export type RawCase = {
  readonly name: string;
  readonly steps: (wire: Wire) => readonly (Buffer | Step)[];
  /**
   * The answers that must come, in this order: a status, `ok` for any success, or `refused` for any 4xx. None: the sender
   * leaves without waiting for one.
   */
  readonly answers: readonly (number | "ok" | "refused")[];
  /** How often the mark may be found afterwards. */
  readonly stored: number;
};

const FINISH: Step = { do: "finish" };
const RESET: Step = { do: "reset" };
const PAUSE: Step = { do: "wait", ms: 40 };
const BREATH: Step = { do: "wait", ms: 5 };
const NOISE = Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 167 + 13) % 256));
const TLS = bytes("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 greeting\r\n\r\n");

function refuse(name: string, steps: RawCase["steps"]): RawCase {
  return { name, steps, answers: ["refused"], stored: 0 };
}

function accept(name: string, steps: RawCase["steps"]): RawCase {
  return { name, steps, answers: ["ok"], stored: 1 };
}

/** A sender that does not wait for an answer. */
function leave(name: string, steps: RawCase["steps"]): RawCase {
  return { name, steps, answers: [], stored: 0 };
}

const lengths: readonly RawCase[] = [
  ...["-1", "x", "0x10", "+5", "1e3", "5, 6", "5 5", "", "99999999999999999999999"].map((value) =>
    refuse(`Content-Length: ${value}`, ({ head, body }) => [
      head(`Content-Length: ${value}`),
      body,
    ]),
  ),
  refuse("two different Content-Length", ({ head, body, length }) => [
    head("Content-Length: 1", length),
    body,
  ]),
  refuse("the same Content-Length twice", ({ head, body, length }) => [head(length, length), body]),
  refuse("Content-Length and chunked", ({ head, body, length, chunked }) => [
    head(length, chunked),
    ...toChunks(body),
  ]),
  refuse("a length over every limit", ({ head, body }) => [head("Content-Length: 9000000"), body]),
  refuse("a blank before the colon", ({ head, body }) => [
    head(`Content-Length : ${body.length}`),
    body,
  ]),
  refuse("a body longer than declared", ({ head, body }) => [
    head(`Content-Length: ${body.length - 3}`),
    body,
  ]),
];

const CHUNKS: readonly [name: string, text: string][] = [
  ["a chunk size that is no number", "zz\r\n{}\r\n0\r\n\r\n"],
  ["a negative chunk size", "-1\r\n{}\r\n0\r\n\r\n"],
  ["a chunk size over 2^64", "fffffffffffffffffff\r\n{}\r\n0\r\n\r\n"],
  ["a chunk size of 0x2", "0x2\r\n{}\r\n0\r\n\r\n"],
  ["a chunk without its line end", "2\r\n{}0\r\n\r\n"],
  ["a chunk longer than told", "2\r\n{}{}\r\n0\r\n\r\n"],
  ["a blank chunk size", "\r\n{}\r\n0\r\n\r\n"],
  ["bare line feeds between chunks", "2\n{}\n0\n\n"],
  ["a chunk extension without end", `2;${"x".repeat(40_000)}\r\n{}\r\n0\r\n\r\n`],
];
const CODINGS = ["gzip", "chunked, gzip", "gzip, identity", "xchunked", "chunked\u000b"];

const chunks: readonly RawCase[] = [
  ...CHUNKS.map(([name, text]) =>
    refuse(name, ({ head, chunked }) => [head(chunked), bytes(text)]),
  ),
  ...CODINGS.map((coding) =>
    refuse(`Transfer-Encoding: ${coding}`, ({ head, body }) => [
      head(`Transfer-Encoding: ${coding}`),
      body,
      FINISH,
    ]),
  ),
  accept("a chunk with an extension, and a trailer", ({ head, body, chunked }) => [
    head(chunked),
    bytes(`${body.length.toString(16)};a=b\r\n`),
    body,
    bytes("\r\n0;c\r\nX-Trailer: t\r\n\r\n"),
  ]),
  accept("chunks of one byte", ({ head, body, chunked }) => [
    head(chunked),
    ...[...body].map((byte) => bytes(`1\r\n${String.fromCharCode(byte)}\r\n`)),
    bytes("0\r\n\r\n"),
  ]),
];

const HEADERS: readonly [name: string, ...lines: string[]][] = [
  ["headers over 16 KiB", `X-Long: ${"x".repeat(20_000)}`],
  ["2,000 headers", ...Array.from({ length: 2_000 }, (_, at) => `X-${at}: 1`)],
  ["101 headers", ...Array.from({ length: 101 }, (_, at) => `X-${at}: 1`)],
  ["two Hosts", "Host: 127.0.0.1"],
  ["a blank in a header's name", "X Y: 1"],
  ["a header without a colon", "nonsense"],
  ["U+0000 in a header", "X-A: a\u0000b"],
  ["a bare carriage return in a header", "X-A: a\rb"],
  ["a bare line feed behind a header", "X-A: a\nX-B: b"],
  ["a folded header", "X-A: a\r\n b"],
];
const LINES: readonly [name: string, line: (path: string) => string][] = [
  ["a path over 16 KiB", (path) => `POST ${path}?${"x".repeat(20_000)} HTTP/1.1`],
  ["a path with a blank", (path) => `POST ${path} x HTTP/1.1`],
  ["a path with bytes above ASCII", (path) => `POST ${path}\xff\xfe HTTP/1.1`],
  ["a path with U+0000", (path) => `POST ${path}\u0000 HTTP/1.1`],
  ["HTTP/9.9", (path) => `POST ${path} HTTP/9.9`],
  ["no version", (path) => `POST ${path}`],
  ["a method in small letters", (path) => `post ${path} HTTP/1.1`],
  ["a method that nobody has", (path) => `BREW ${path} HTTP/1.1`],
  ["a target of *", () => "OPTIONS * HTTP/1.1"],
];

const heads: readonly RawCase[] = [
  ...HEADERS.map(([name, ...lines]) =>
    refuse(name, ({ head, body, length }) => [head(...lines, length), body]),
  ),
  ...LINES.map(([name, line]) =>
    refuse(name, ({ path, body, length }) => [
      bytes(`${line(path)}\r\nHost: x\r\n${length}\r\n\r\n`),
      body,
    ]),
  ),
  refuse("no Host", ({ path, body, length }) => [
    bytes(`POST ${path} HTTP/1.1\r\n${length}\r\n\r\n`),
    body,
  ]),
  refuse("an HTTP/2 preface", () => [bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]),
  refuse("a TLS greeting", () => [TLS]),
  refuse("nothing but noise", () => [NOISE, FINISH]),
  leave("CONNECT", () => [bytes("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n"), FINISH]),
  accept("empty lines before the request", ({ good }) => [bytes("\r\n\r\n"), good]),
  accept("HTTP/1.0", ({ path, body, length }) => [
    bytes(`POST ${path} HTTP/1.0\r\nContent-Type: application/json\r\n${length}\r\n\r\n`),
    body,
  ]),
  accept("an Upgrade to h2c", ({ head, body, length }) => [
    head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA", length),
    body,
  ]),
  accept("an Upgrade to websocket", ({ head, body, length }) => [
    head("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", length),
    body,
  ]),
  accept("an Expect that nobody knows", ({ head, body, length }) => [
    head("Expect: the-unexpected", length),
    body,
  ]),
  accept("Expect: 100-continue", ({ head, body, length }) => [
    head("Expect: 100-continue", length),
    PAUSE,
    body,
  ]),
];

const byByte = (buffer: Buffer): Buffer[] => [...buffer].map((byte) => Buffer.from([byte]));

const paces: readonly RawCase[] = [
  accept("a body byte by byte", ({ head, body, length }) => [
    head(length),
    ...byByte(body).flatMap((byte) => [byte, BREATH]),
  ]),
  accept("a head byte by byte", ({ good }) => byByte(good)),
  accept("a sender that ends its half at once", ({ good }) => [good, FINISH]),
  accept("a sender that ends its half behind chunks", ({ head, body, chunked }) => [
    head(chunked),
    ...toChunks(body),
    FINISH,
  ]),
  refuse("half a body, then the end", ({ head, body, length }) => [
    head(length),
    body.subarray(0, 9),
    PAUSE,
    FINISH,
  ]),
  refuse("half a chunk, then the end", ({ head, chunked }) => [
    head(chunked),
    bytes("40\r\n{"),
    PAUSE,
    FINISH,
  ]),
  refuse("half a head, then the end", () => [bytes("POST /x HTTP/1.1\r\nHost: 12"), PAUSE, FINISH]),
  leave("half a body, then a reset", ({ head, body, length }) => [
    head(length),
    body.subarray(0, 9),
    PAUSE,
    RESET,
  ]),
  leave("a whole head, then a reset", ({ head, length }) => [head(length), RESET]),
  leave("a slow body that is cut", ({ head, body, length }) => [
    head(length),
    ...byByte(body.subarray(0, -1)).flatMap((byte) => [byte, BREATH]),
    RESET,
  ]),
];

/** A good request and what follows in the same write: the good one's answer must come, and first. */
function pipeline(
  name: string,
  rest: (wire: Wire) => readonly Buffer[],
  ...after: readonly Step[]
): RawCase {
  return {
    name: `a good one, then ${name}`,
    steps: (wire) => [Buffer.concat([wire.good, ...rest(wire)]), ...after],
    answers: ["ok", "refused"],
    stored: 1,
  };
}

const several: readonly RawCase[] = [
  pipeline("noise", () => [TLS]),
  pipeline("half a head", ({ head, length }) => [head(length).subarray(0, 30)], FINISH),
  pipeline("a bad length", ({ head }) => [head("Content-Length: x")]),
  pipeline("a bad chunk", ({ head, chunked }) => [head(chunked), bytes("zz\r\n")]),
  pipeline("another method", ({ path }) => [bytes(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)]),
  pipeline("no Host", ({ path }) => [bytes(`GET ${path} HTTP/1.1\r\n\r\n`)]),
  refuse("noise, then a good one", ({ good }) => [Buffer.concat([TLS, good])]),
  refuse("a good one smuggled behind two lengths", ({ head, chunked, good }) => [
    Buffer.concat([head("Content-Length: 4", chunked), bytes("0\r\n\r\n"), good]),
  ]),
];

/** All cases, each for any hook. */
export const RAW_CASES: readonly RawCase[] = [
  ...lengths,
  ...chunks,
  ...heads,
  ...paces,
  ...several,
];
