import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import {
  Change,
  type Message,
  MessagePostedSchema,
  MessageSchema,
} from "@headgate/proto/chat/v1/chat";
import { expect, test } from "vitest";
import { createReadable } from "./readable.ts";

const nobody = async () => [];

function announce(
  message: MessageInitShape<typeof MessageSchema>,
  change: Change = Change.CREATED,
) {
  const posted = create(MessagePostedSchema, { message, change });
  return { value: fromBinary(EmptySchema, toBinary(MessagePostedSchema, posted)) };
}

function open(options: Partial<Parameters<typeof createReadable>[0]> = {}) {
  const hold = () => ({ live: undefined, release: () => {} });
  return createReadable({ getMessages: nobody, hold, epoch: "e", ...options });
}

test("a wait ends with the messages in the order asked, whenever they were announced", async () => {
  const readable = open();
  const [a, b] = [createId(), createId()];
  readable.apply([announce({ id: a, position: 1n })]);
  const wait = readable.awaitReadable([b, a], 1000);
  readable.apply([announce({ id: b, position: 2n })]);
  expect((await wait)?.map(({ id, position }) => [id, position])).toEqual([
    [b, 2n],
    [a, 1n],
  ]);
});

test("a wait runs out with undefined, also when chat is away", async () => {
  const away = new AppError("unavailable", "away", "Away.");
  const readable = open({ getMessages: () => Promise.reject(away) });
  expect(await readable.awaitReadable([createId()], 20)).toBeUndefined();
});

test("a wait asks chat itself when the tail is behind", async () => {
  const message: Message = create(MessageSchema, { id: createId() });
  const readable = open({ getMessages: async () => [message] });
  expect(await readable.awaitReadable([message.id], 50)).toEqual([message]);
});

test("a wait that finds the tail asleep asks chat as soon as the tail is live, and lets go of it", async () => {
  const message: Message = create(MessageSchema, { id: createId() });
  let holds = 0;
  const hold = () => {
    holds += 1;
    const release = () => {
      holds -= 1;
    };
    return { live: Promise.resolve(), release };
  };
  const readable = open({ getMessages: async () => [message], hold });
  const wait = readable.awaitReadable([message.id], 60_000);
  expect(holds).toBe(1);
  expect(await wait).toEqual([message]);
  expect(holds).toBe(0);
});

test("what was skipped is a gap, and what comes after it is not", () => {
  const readable = open();
  readable.apply([announce({ id: createId() })]);
  const before = readable.cursor();
  readable.skip();
  const after = readable.cursor();
  const id = createId();
  readable.apply([announce({ id })]);
  expect(readable.since(before)).toMatchObject({
    isGap: true,
    announcements: [{ message: { id } }],
  });
  expect(readable.since(after)).toMatchObject({
    isGap: false,
    announcements: [{ message: { id } }],
  });
});

test("an announcement that comes again is shown once; an edit is shown", () => {
  const readable = open();
  const id = createId();
  const seen: Change[] = [];
  const stop = readable.subscribe(({ change }) => seen.push(change));
  readable.apply([announce({ id }), announce({ id })]);
  const edited = announce({ id, editedAt: { seconds: 5n } }, Change.EDITED);
  readable.apply([edited, edited, announce({ id })]);
  stop();
  readable.apply([announce({ id }, Change.DELETED)]);
  expect(seen).toEqual([Change.CREATED, Change.EDITED]);
});

test("a cursor goes on where it was, and says when something is not kept any more", () => {
  const readable = open({ keptMax: 3 });
  const ids = Array.from({ length: 5 }, () => createId());
  const start = readable.cursor();
  readable.apply(ids.slice(0, 2).map((id) => announce({ id })));
  const middle = readable.cursor();
  expect(readable.since(start)).toMatchObject({ isGap: false, announcements: [{}, {}] });
  readable.apply(ids.slice(2).map((id) => announce({ id })));
  const idsSince = (cursor: string) =>
    readable.since(cursor).announcements.map(({ message }) => message.id);
  expect(idsSince(middle)).toEqual(ids.slice(2));
  expect(readable.since(middle).isGap).toBe(false);
  expect(readable.since(start).isGap).toBe(true);
  expect(idsSince(start)).toEqual(ids.slice(2));
  expect(idsSince(readable.cursor())).toEqual([]);
});

test.each(["other-1", "e-9", "e--1", "", "e-x"])(
  "a cursor of elsewhere (%s) is a gap",
  (cursor) => {
    expect(open().since(cursor)).toEqual({ announcements: [], isGap: true });
  },
);

test("what holds no message is passed over", () => {
  const readable = open();
  readable.apply([{ value: null }, { value: create(EmptySchema) }]);
  expect(readable.since("e-0")).toEqual({ announcements: [], isGap: false });
});
