import { expect, test } from "vitest";
import { openBooks, retryKeyed, type Send } from "./books.ts";
import type { Result } from "./client.ts";

const answered = <Tag>(tag: Tag, status: number, body = ""): Result<Tag> => ({
  tag,
  outcome: "answered",
  status,
  body,
  retryAfter: undefined,
  dueAt: 0,
  sentAt: 0,
  endedAt: performance.now(),
});

test("keyed events that a slow round did not reach are sent in the next one", async () => {
  const books = openBooks([{ channelId: "channel", path: "/in/token" }]);
  const sent = Array.from({ length: 200 }, () => books.next().tag);
  for (const entry of sent) books.note(answered(entry, 503));
  const slow: Send = async ({ next, onResult }) => {
    onResult(answered(next().tag, 202)); // one answer in the time of a whole round
  };
  await retryKeyed(slow, books, 60_000);
  expect(sent.filter(({ keyed, fate }) => keyed && fate !== "accepted")).toEqual([]);
});
