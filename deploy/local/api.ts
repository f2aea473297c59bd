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

/** Makes callers of one API: with a bearer token, or without. */
export type CallerOf = (token?: string) => Call;

const CALL_TIMEOUT_MS = 10_000;
/** The services have just started: calls that find one not yet reachable are tried again this long, all calls together. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 200;
/** Rows on a page of a list: the most that the API gives. */
const PAGE_ROWS = 200;
/** Pages of a list that are read: 100,000 rows. */
const PAGES_MAX = 500;

/**
 * Callers of the API at `base`. An answer of 503 is tried again, until 30 s after this call.
 * The callers throw LocalFault when the API cannot be reached.
 */
export function createCallers(base: string): CallerOf {
  const deadline = performance.now() + PATIENCE_MS;
  return (token) =>
    async function call(method, path, body) {
      for (;;) {
        const answer = await send(method, path, token, body).catch((cause: unknown) => {
          if (performance.now() < deadline) return undefined;
          throw new LocalFault(`the gateway did not answer ${method} ${path}`, { cause });
        });
        if (answer && (answer.status !== 503 || performance.now() >= deadline)) return answer;
        await sleep(PAUSE_MS);
      }
    };

  async function send(
    method: string,
    path: string,
    token: string | undefined,
    body: unknown,
  ): Promise<Answer> {
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
  const why = answer.body?.detail ?? "no reason was given";
  throw new LocalFault(`${what} failed: ${answer.status} ${String(why)}`);
}

/** A text member of a body. @throws LocalFault when it is not there */
export function readText(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (typeof value === "string") return value;
  throw new LocalFault(`the gateway's answer has no ${name}`);
}

/**
 * The row of a list that has a name; undefined when no page has one. Reads the newest first, 100,000 rows at most.
 * @param list path of the list, with a query or without @throws LocalFault when the API refuses the list
 */
export async function findByName(
  call: Call,
  list: string,
  name: string,
): Promise<Record<string, unknown> | undefined> {
  const first = `${list}${list.includes("?") ? "&" : "?"}limit=${PAGE_ROWS}`;
  let next: unknown;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const path = next === undefined ? first : `${first}&before=${encodeURIComponent(String(next))}`;
    const page = expectBody(await call("GET", path), `listing ${list}`);
    const rows: Record<string, unknown>[] = Array.isArray(page.data) ? page.data : [];
    const found = rows.find((row) => row.name === name);
    if (found || page.next === null || page.next === undefined) return found;
    next = page.next;
  }
  return undefined;
}
