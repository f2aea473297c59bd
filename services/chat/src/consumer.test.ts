import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { metricsText } from "@headgate/kit/telemetry";
import { runActive } from "@headgate/kit/telemetry/context";
import { recordSpans } from "@headgate/kit/telemetry/recorded-spans";
import { Change, type MessagePosted } from "@headgate/proto/chat/v1/chat";
import { expect, test } from "vitest";
import { createChatConsumer } from "./consumer.ts";
import { createMetrics } from "./metrics.ts";
import { createChatService } from "./service.ts";
import { buildEvent } from "./testing/builders.ts";
import { createMemoryStore } from "./testing/memory-store.ts";

const context = { signal: new AbortController().signal, trace: undefined };

function open() {
  const announced: MessagePosted[] = [];
  const chat = createChatService({ store: createMemoryStore() });
  const consume = createChatConsumer({
    chat,
    announce: async (values) => void announced.push(...values),
    metrics: createMetrics(),
  });
  return { announced, chat, consume };
}

test("announces the messages of a batch in its order", async () => {
  const { announced, consume } = open();
  const events = [buildEvent({}), buildEvent({}), buildEvent({})];
  expect(await consume(events, context)).toMatchObject([
    { kind: "done" },
    { kind: "done" },
    { kind: "done" },
  ]);
  expect(announced.map(({ message }) => message?.id)).toEqual(events.map(({ id }) => id));
  expect(announced.map(({ message }) => message?.position)).toEqual([1n, 2n, 3n]);
  expect(announced.every(({ change }) => change === Change.CREATED)).toBe(true);
});

test("announces again, as stored, when a record comes again", async () => {
  const { announced, consume } = open();
  const event = buildEvent({ text: "first" });
  await consume([event], context);
  await consume([buildEvent({}), buildEvent({ id: event.id, text: "other" })], context);
  expect(announced[2]?.message).toMatchObject({
    id: event.id,
    position: 1n,
    content: { text: "first" },
  });
});

test("announces an id once that one batch holds twice, and both records are done", async () => {
  const { announced, consume } = open();
  const id = createId();
  const outcomes = await consume([buildEvent({ id }), buildEvent({ id })], context);
  expect(outcomes.map(({ kind }) => kind)).toEqual(["done", "done"]);
  expect(announced).toHaveLength(1);
});

test("what can be no message goes to the dead letter with its reason", async () => {
  const { announced, consume } = open();
  const outcomes = await consume([buildEvent({ id: "nonsense" }), buildEvent({})], context);
  expect(outcomes).toEqual([{ kind: "dead", reason: "id_malformed" }, { kind: "done" }]);
  expect(announced).toHaveLength(1);
});

test("no record is done that could not be announced", async () => {
  const { chat } = open();
  const away = new AppError("unavailable", "log_unavailable", "The log is away.");
  const consume = createChatConsumer({
    chat,
    announce: () => Promise.reject(away),
    metrics: createMetrics(),
  });
  await expect(consume([buildEvent({})], context)).rejects.toBe(away);
});

test("a message whose announcement is too large stays stored and goes to the dead letter; its neighbours are announced in order", async () => {
  const { chat } = open();
  const announced: string[] = [];
  const consume = createChatConsumer({
    chat,
    announce: async (values) => {
      const ids = values.map(({ message }) => message?.id ?? "");
      if (ids.includes(large.id)) {
        throw new AppError("invalid_argument", "record_too_large", "Too large.");
      }
      announced.push(...ids);
    },
    metrics: createMetrics(),
  });
  const large = buildEvent({});
  const events = [buildEvent({}), buildEvent({}), large, buildEvent({}), buildEvent({})];
  const outcomes = await consume(events, context);
  const tooLarge = { kind: "dead", reason: "announcement_too_large" };
  expect(outcomes).toEqual(events.map((event) => (event === large ? tooLarge : { kind: "done" })));
  expect(announced).toEqual(events.filter((event) => event !== large).map(({ id }) => id));
  expect(await chat.getMessages([large.id])).toHaveLength(1);
});

test("measures how long events took to become readable, and tells their dialect to the span", async () => {
  const said: unknown[] = [];
  const events = [buildEvent({}), buildEvent({})];
  using _recorder = recordSpans();
  const context = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };
  const { onEvents, onReadable } = createMetrics({ now: () => Date.now() + 60_000 });
  runActive({ context, set: (attributes) => said.push(attributes) }, () => onEvents(events));
  const dialect = events[0]?.origin?.dialect;
  expect(said).toEqual([{ "headgate.action": "chat_message", "headgate.dialect": dialect }]);
  const [message] = (await createChatService({ store: createMemoryStore() }).post(events)).flatMap(
    (verdict) => ("message" in verdict ? verdict.message : []),
  );
  onReadable(message ? [message] : []);
  expect(await metricsText()).toMatch(
    /headgate_event_readable_duration_seconds_bucket\{[^}]*le="\+Inf"\} [1-9]/,
  );
});
