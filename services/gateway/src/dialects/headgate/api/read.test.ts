import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { createId } from "@headgate/kit/ids";
import { expect, test } from "vitest";
import { readKey } from "./read.ts";

const userId = createId();

function keyed(key: string, path: string, body: number) {
  const req = new IncomingMessage(new Socket());
  req.headers["idempotency-key"] = key;
  return readKey(req, { userId, path, digest: new Uint8Array(32).fill(body) });
}

test("an equal POST under a key makes the same id, another body or path another, with nothing remembered", () => {
  const first = keyed("k", "/teams", 1)?.newId;
  expect(keyed('"k"', "/teams", 1)?.newId).toBe(first);
  const others = [keyed("k", "/teams", 2), keyed("k", "/users", 1), keyed("l", "/teams", 1)];
  const ids = others.map((other) => other?.newId);
  expect(new Set([first, ...ids]).size).toBe(4);
});

test("a key with another body has the claim of the first, so that it is refused while it is remembered", () => {
  const [one, other] = [keyed("k", "/teams", 1)?.claim, keyed("k", "/teams", 2)?.claim];
  expect([other?.scope, other?.key]).toEqual([one?.scope, one?.key]);
  expect(other?.bodyDigest).not.toEqual(one?.bodyDigest);
});
