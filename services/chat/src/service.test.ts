import { create } from "@bufbuild/protobuf";
import { createId } from "@headgate/kit/ids";
import { EventSchema } from "@headgate/proto/event/v1/event";
import { expect, test } from "vitest";
import { createChatService, type Verdict } from "./service.ts";
import { buildEvent, CHANNEL_ID, TEAM_ID } from "./testing/builders.ts";
import { createMemoryStore } from "./testing/memory-store.ts";

const open = () => createChatService({ store: createMemoryStore() });
const messageOf = (verdict: Verdict | undefined) => {
  if (!verdict || !("message" in verdict)) throw new Error("no message");
  return verdict.message;
};

test("an event becomes a message with the event's id, time, author and content", async () => {
  const event = buildEvent({ text: "disk 91%" });
  const [verdict] = await open().post([event]);
  expect(messageOf(verdict)).toMatchObject({
    id: event.id,
    teamId: TEAM_ID,
    channelId: CHANNEL_ID,
    position: 1n,
    number: 7n,
    author: event.author,
    origin: event.origin,
    content: { text: "disk 91%" },
    acceptedAt: event.acceptedAt,
    count: 1,
    rootId: "",
  });
});

test("positions follow the order of the batch", async () => {
  const verdicts = await open().post([buildEvent({}), buildEvent({}), buildEvent({})]);
  expect(verdicts.map((verdict) => messageOf(verdict).position)).toEqual([1n, 2n, 3n]);
});

test("posts once when the same event is delivered twice, and gives the stored message again", async () => {
  const chat = open();
  const event = buildEvent({ text: "first" });
  await chat.post([event]);
  const [again] = await chat.post([buildEvent({ id: event.id, text: "other" })]);
  expect(messageOf(again)).toMatchObject({ position: 1n, content: { text: "first" } });
  expect(await chat.listMessages({ channelId: CHANNEL_ID, limit: 10 })).toHaveLength(1);
});

test("posts once when one batch holds the same id twice: the first counts", async () => {
  const chat = open();
  const id = createId();
  const verdicts = await chat.post([
    buildEvent({ id, text: "first" }),
    buildEvent({ id, text: "second" }),
  ]);
  expect(verdicts.map((verdict) => messageOf(verdict).content?.text)).toEqual(["first", "first"]);
  expect(await chat.listMessages({ channelId: CHANNEL_ID, limit: 10 })).toHaveLength(1);
});

test("an event that can be no message is refused with its reason, and its neighbours are posted", async () => {
  const wallPost = create(EventSchema, { id: createId(), action: { case: "wallPost", value: {} } });
  const untimed = buildEvent({});
  untimed.acceptedAt = undefined;
  const verdicts = await open().post([
    buildEvent({}),
    wallPost,
    buildEvent({ id: "nonsense" }),
    buildEvent({ channelId: "general" }),
    untimed,
    buildEvent({}),
  ]);
  expect(verdicts.slice(1, 5)).toEqual([
    { refused: "not_a_chat_message" },
    { refused: "id_malformed" },
    { refused: "target_malformed" },
    { refused: "accepted_at_missing" },
  ]);
  expect([messageOf(verdicts[0]).position, messageOf(verdicts[5]).position]).toEqual([1n, 2n]);
});

test("a reply hangs on its root, also when both come in one batch", async () => {
  const chat = open();
  const root = buildEvent({});
  await chat.post([root]);
  const young = buildEvent({});
  const verdicts = await chat.post([
    buildEvent({ rootId: root.id }),
    young,
    buildEvent({ rootId: young.id }),
  ]);
  expect(verdicts.map((verdict) => messageOf(verdict).rootId)).toEqual([root.id, "", young.id]);
  expect(await chat.listReplies({ rootId: root.id, limit: 10, after: 0n })).toHaveLength(1);
});

test("a reply to a reply hangs on the root of both", async () => {
  const chat = open();
  const root = buildEvent({});
  const reply = buildEvent({ rootId: root.id });
  await chat.post([root, reply]);
  const nested = buildEvent({ rootId: reply.id });
  const verdicts = await chat.post([nested, buildEvent({ rootId: nested.id })]);
  expect(verdicts.map((verdict) => messageOf(verdict).rootId)).toEqual([root.id, root.id]);
});

test("a reply to what is not in its channel is a root message", async () => {
  const chat = open();
  const elsewhere = buildEvent({ channelId: createId() });
  const id = createId();
  const verdicts = await chat.post([
    elsewhere,
    buildEvent({ rootId: elsewhere.id }),
    buildEvent({ rootId: createId() }),
    buildEvent({ rootId: "nonsense" }),
    buildEvent({ id, rootId: id }),
  ]);
  expect(verdicts.map((verdict) => messageOf(verdict).rootId)).toEqual(["", "", "", "", ""]);
});

test("reading refuses malformed ids, limits and bounds", async () => {
  const chat = open();
  const id = createId();
  const asked = [
    chat.listMessages({ channelId: "x", limit: 1 }),
    chat.listMessages({ channelId: id, limit: 0 }),
    chat.listMessages({ channelId: id, limit: 201 }),
    chat.listMessages({ channelId: id, limit: 1, bound: { case: "before", value: 0n } }),
    chat.listMessages({ channelId: id, limit: 1, bound: { case: "after", value: -1n } }),
    chat.getMessages([]),
    chat.getMessages(["x"]),
    chat.getMessages(Array.from({ length: 1001 }, () => id)),
    chat.listReplies({ rootId: "x", limit: 1, after: 0n }),
  ];
  for (const answer of asked)
    await expect(answer).rejects.toMatchObject({ reason: "request_invalid" });
});
