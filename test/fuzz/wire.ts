/** A generated request as the bytes of HTTP/1.1, with its mark in place. */
import { putMark } from "./marks.ts";
import type { FuzzRequest } from "./requests.ts";

/** Bytes of a chunk; the first pieces are smaller, so that short bodies come in pieces too. */
const CHUNK_FIRST = 7;
const CHUNK = 20_000;

/** The request as bytes. Texts of head and body carry `mark`. */
export function toBytes(
  { method, path, headers, body, chunked }: FuzzRequest,
  mark: string,
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value ?? ""}\r\n`);
  const framing = chunked ? "transfer-encoding: chunked" : `content-length: ${body.length}`;
  const head = `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join("")}${framing}\r\n\r\n`;
  const marked = putMark(body, mark); // as long as before
  return Buffer.concat([
    putMark(Buffer.from(head, "latin1"), mark),
    ...(chunked ? toChunks(marked) : [marked]),
  ]);
}

/** A body in chunks, the end of them included. */
export function toChunks(body: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const piece = body.subarray(at, at + (at === 0 ? CHUNK_FIRST : CHUNK));
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
    at += piece.length;
  }
  return [...pieces, Buffer.from("0\r\n\r\n")];
}
