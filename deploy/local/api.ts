/** A caller of the native API, for the little that the demo needs. */
import { setTimeout as sleep } from "node:timers/promises";
import { LocalFault } from "./fault.ts";

/** What the API answered. `body` is undefined when there was none. */
export type Answer = {
  readonly status: number;
  readonly body: Record<string, unknown> | undefined;
};

/** Sends one request and gives back whatever the API answered. */
export type Call = (method: string, path: string, body?: unknown) => Promise<Answer>;

const CALL_TIMEOUT_MS = 10_000;
/** The services have just started: calls that find one not yet reachable are tried again this long. */
const PATIENCE_MS = 15_000;
const PAUSE_MS = 200;

/**
 * A caller with a bearer token, or without. Answers of 503 are tried again for a while.
 * @throws LocalFault when the API cannot be reached
 */
export function createCaller(base: string, token?: string): Call {
  return async function call(method, path, body) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = await send(method, path, body).catch((error: unknown) => {
        if (Date.now() < deadline) return undefined;
        throw new LocalFault(`the gateway did not answer ${method} ${path}`, { cause: error });
      });
      if (answer && (answer.status !== 503 || Date.now() >= deadline)) return answer;
      await sleep(PAUSE_MS);
    }
  };

  async function send(method: string, path: string, body: unknown): Promise<Answer> {
    const response = await fetch(`${base}/api/headgate/v1${path}`, {
      method,
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  }
}

/** The body of an answer that should be a success. @throws LocalFault with the API's own words */
export function expectBody(answer: Answer, what: string): Record<string, unknown> {
  if (answer.status < 300 && answer.body) return answer.body;
  throw new LocalFault(`${what} failed: ${answer.status} ${String(answer.body?.detail ?? "")}`);
}

/** A text member of a body. @throws LocalFault when it is not there */
export function readText(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (typeof value === "string") return value;
  throw new LocalFault(`the gateway's answer has no ${name}`);
}
