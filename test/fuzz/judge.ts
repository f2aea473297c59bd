/** What any answer of a hook must keep to, whatever was sent. */
import type { Answer } from "./connection.ts";

/** 32 hex digits, or the 26 characters that Mattermost's clients expect. */
const REQUEST_ID = /^(?:[0-9a-f]{32}|[a-z0-9]{26})$/;
const JSON_TYPE = /^application\/(?:json|problem\+json)(?:; charset=utf-8)?$/;

/** Everything wrong with an answer; none when it is as it should be. */
export function findFaults({ status, headers, body }: Answer, isHead: boolean): string[] {
  const faults: string[] = [];
  const header = (name: string) => headers.get(name) ?? "";
  if (status >= 500 && status !== 503) faults.push(`status ${status}`);
  if ((status === 503 || status === 429) && !/^[1-9]\d*$/.test(header("retry-after"))) {
    faults.push(`${status} without Retry-After`);
  }
  if (status === 405 && header("allow") === "") faults.push("405 without Allow");
  if (!REQUEST_ID.test(header("x-request-id"))) {
    faults.push(`X-Request-Id is ${header("x-request-id") || "missing"} with status ${status}`);
  }
  if (!isHead && status !== 204 && header("content-length") === "") {
    faults.push(`${status} without Content-Length`);
  }
  if (!isHead) faults.push(...findBodyFaults(status, header("content-type"), body));
  return faults;
}

function findBodyFaults(status: number, type: string, body: string): string[] {
  if (type === "") return body === "" ? [] : ["a body without Content-Type"];
  if (type === "text/plain") return looksLikeJson(body) ? ["JSON as text/plain"] : [];
  if (!JSON_TYPE.test(type)) return [`Content-Type ${type}`];
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return [`no JSON under ${type}: ${body.slice(0, 80)}`];
  }
  if (typeof parsed !== "object" || parsed === null) return [`no object under ${type}`];
  const told = "status_code" in parsed ? parsed.status_code : "status" in parsed && parsed.status;
  const isTrue = typeof told !== "number" || told === status;
  return isTrue ? [] : [`status ${status} is told as ${String(told)}`];
}

function looksLikeJson(body: string): boolean {
  return /^\s*[[{]/.test(body);
}
