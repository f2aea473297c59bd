import { create, toBinary } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import { AttachmentSchema, type Event, EventSchema } from "@headgate/proto/event/v1/event";
import { EVENT_BYTES_MAX } from "@headgate/proto/topics";
import { expect, test } from "vitest";
import { authorOf, chatMessageEvent, timestampOf } from "../events.ts";
import { isTooLarge, toPublishError, UnsureError } from "./publish.ts";

type Content = Parameters<typeof chatMessageEvent>[0]["content"];

function eventOf(content: Content): Event {
  return chatMessageEvent({
    id: "01900000-0000-7000-8000-000000000001",
    acceptedAt: timestampOf(new Date(0)),
    teamId: "01900000-0000-7000-8000-000000000002",
    origin: { dialect: "headgate", traceId: "0af7651916cd43dd8448eb211c80319c" },
    author: authorOf({ isBot: true, id: "01900000-0000-7000-8000-000000000003", name: "Bot" }),
    channelId: "01900000-0000-7000-8000-000000000004",
    content,
  });
}

const TEXTS = [
  "fallback",
  "color",
  "pretext",
  "authorName",
  "authorLink",
  "authorIcon",
  "title",
  "titleLink",
  "text",
  "imageUrl",
  "thumbUrl",
  "footer",
  "footerIcon",
  "tsJson",
  "actionsJson",
] as const;
const field = (value: string) => ({
  $typeName: "headgate.event.v1.Field" as const,
  name: "n",
  value,
  short: false,
});

test.each<[string, (text: string) => Content]>([
  ["text", (text) => ({ text })],
  ["title", (title) => ({ title })],
  ["link", (link) => ({ link })],
  ["props", (propsJson) => ({ propsJson })],
  ["a field", (value) => ({ fields: [field(value)] })],
  [
    "a field of an attachment",
    (value) => ({ attachments: [create(AttachmentSchema, { fields: [field(value)] })] }),
  ],
  ...TEXTS.map((name): [string, (text: string) => Content] => [
    name,
    (text) => ({ attachments: [create(AttachmentSchema, { [name]: text })] }),
  ]),
])("an event is too large from one byte over the bound on, in %s", (_name, make) => {
  const around = toBinary(EventSchema, eventOf(make("x".repeat(200_000)))).byteLength - 200_000;
  const fitting = eventOf(make("x".repeat(EVENT_BYTES_MAX - around)));
  expect(toBinary(EventSchema, fitting).byteLength).toBe(EVENT_BYTES_MAX);
  expect(isTooLarge(fitting)).toBe(false);
  expect(isTooLarge(eventOf(make("x".repeat(EVENT_BYTES_MAX - around + 1))))).toBe(true);
});

test("characters of several bytes count by their bytes", () => {
  expect(isTooLarge(eventOf({ text: "€".repeat(80_000) }))).toBe(false);
  expect(isTooLarge(eventOf({ text: "€".repeat(90_000) }))).toBe(true);
});

test("only an unknown outcome names its events", () => {
  const events = [eventOf({ text: "a" }), eventOf({ text: "b" })];
  const unsure = toPublishError(new AppError("unavailable", "log_unsure", "Not sure."), events);
  expect(unsure).toBeInstanceOf(UnsureError);
  expect(unsure).toMatchObject({ reason: "log_unsure", eventIds: events.map(({ id }) => id) });
  const away = new AppError("unavailable", "log_unavailable", "Nothing is kept.");
  expect(toPublishError(away, events)).toBe(away);
});
