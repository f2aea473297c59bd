/** Plays raw bytes on a connection of their own and says what was wrong with the answers. */
import { setTimeout as sleep } from "node:timers/promises";
import { openConnection } from "./connection.ts";
import { findFaults } from "./judge.ts";
import type { RawCase } from "./raw-cases.ts";

/** What is done with a connection besides writing; `finish` ends our half of it, `reset` all of it. */
export type Step =
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "finish" | "reset" };

/** What cases are made of: a hook's path, a good body with its mark, and heads to go with it. */
export type Wire = {
  readonly path: string;
  readonly body: Buffer;
  /** Header lines that tell the body's length. */
  readonly length: string;
  readonly chunked: string;
  /** The head of a POST of JSON with these header lines besides. */
  readonly head: (...lines: string[]) => Buffer;
  /** A good request. */
  readonly good: Buffer;
};

/**
 * Plays a case against the hook of a path.
 * @param answerMs ms in which each answer must come
 * @returns every fault of its answers
 */
export async function playRaw(
  { steps, answers }: RawCase,
  { port, path, mark, answerMs }: { port: number; path: string; mark: string; answerMs: number },
): Promise<string[]> {
  using connection = await openConnection(port);
  for (const step of steps(createWire(path, mark))) {
    if (Buffer.isBuffer(step)) connection.write(step);
    else if (step.do === "wait") await sleep(step.ms);
    else if (step.do === "finish") connection.finish();
    else connection.reset();
  }
  const faults: string[] = [];
  for (const wanted of answers) {
    const answer = await connection.read({ isHead: false, timeoutMs: answerMs });
    if (answer === undefined) return [...faults, `closed instead of ${wanted}`];
    faults.push(...findFaults(answer, false));
    if (!fits(answer.status, wanted)) faults.push(`${answer.status} instead of ${wanted}`);
  }
  return faults;
}

/** A text of single bytes. */
export function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function createWire(path: string, mark: string): Wire {
  const body = Buffer.from(JSON.stringify({ text: `${mark} raw` }));
  const length = `Content-Length: ${body.length}`;
  const head = (...lines: string[]) => {
    const first = [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", "Content-Type: application/json"];
    return bytes(`${[...first, ...lines].join("\r\n")}\r\n\r\n`);
  };
  const good = Buffer.concat([head(length), body]);
  return { path, body, length, chunked: "Transfer-Encoding: chunked", head, good };
}

function fits(status: number, wanted: RawCase["answers"][number]): boolean {
  if (wanted === "ok") return status >= 200 && status < 300;
  if (wanted === "refused") return status >= 400 && status < 500;
  return status === wanted;
}
