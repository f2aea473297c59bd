/** Reads the bodies that are not JSON: urlencoded forms and multipart. The whole body is in memory already, and bounded. */
import { setTimeout as sleep } from "node:timers/promises";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { refusal } from "./errors.ts";

/** Parts of one multipart body. A payload has about a dozen members. */
const PARTS_MAX = 64;
const PIECE_BYTES = 8 * 1024;
/** ms for taking a body apart that is already here: only a parser that hangs meets it. */
const PARSE_TIMEOUT_MS = 5_000;

/**
 * The JSON text in the field `payload` of a urlencoded body, or of the query where the body has none.
 * @throws AppError `form_malformed` when there is none, or a blank one
 */
export function readFormPayload(body: Buffer, query: string): string {
  const text =
    new URLSearchParams(body.toString("utf8")).get("payload") ||
    new URLSearchParams(query).get("payload") ||
    "";
  if (text.trim() === "") throw refusal("form_malformed");
  return text;
}

/**
 * The plain fields of a multipart body, in order.
 * @throws AppError `multipart_malformed`: no boundary, cut short, too many parts, or a file among them
 */
export async function readMultipart(
  body: Buffer,
  contentType: string,
): Promise<[string, string][]> {
  const abort = new AbortController();
  try {
    return await Promise.race([
      parse(body, contentType),
      sleep(PARSE_TIMEOUT_MS, undefined, { signal: abort.signal, ref: false }).then(() => {
        throw refusal("multipart_malformed");
      }),
    ]);
  } finally {
    abort.abort();
  }
}

function parse(body: Buffer, contentType: string): Promise<[string, string][]> {
  return new Promise((resolve, reject) => {
    const fields: [string, string][] = [];
    let isOver = false;
    const fail = (detail?: string) => {
      isOver = true;
      reject(refusal("multipart_malformed", { detail }));
    };
    let parser: BusboyInstance;
    try {
      parser = new Busboy({
        headers: { "content-type": contentType },
        limits: { fieldSize: body.length, parts: PARTS_MAX, headerPairs: 32 },
      });
    } catch {
      fail("The multipart body has no boundary.");
      return;
    }
    parser.on("field", (name, value, nameCut, valueCut) => {
      if (nameCut || valueCut) fail();
      else fields.push([name, value]);
    });
    parser.on("file", (_name, stream) => {
      stream.resume();
      fail("A webhook takes no files.");
    });
    parser.on("partsLimit", () => fail("There are too many parts."));
    parser.on("fieldsLimit", () => fail("There are too many parts."));
    parser.on("error", () => fail());
    parser.on("finish", () => resolve(fields));
    // In pieces, so that what is refused at its start costs no more than that.
    for (let at = 0; at < body.length && !isOver; at += PIECE_BYTES) {
      parser.write(body.subarray(at, at + PIECE_BYTES));
    }
    parser.end();
  });
}
