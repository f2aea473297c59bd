import { create, createFileRegistry, toBinary } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorSetSchema,
  type StringValue,
  StringValueSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { decodeBatches, encodeBatch, type FetchedRecord } from "./batch.ts";
import { createBury } from "./dead-letter.ts";
import type { Producer } from "./producer.ts";
import { createPublisher, prepareRaw } from "./publisher.ts";
import { type Prepared, readHeaders } from "./record.ts";

/** A producer that keeps what it is given. */
function createFakeProducer() {
  const sent: Prepared[] = [];
  const producer: Producer = {
    ready: true,
    async publish(records) {
      sent.push(...records);
    },
    async close() {},
  };
  return { producer, read: () => readBack(sent) };
}

/** Prepared records as a consumer would read them. */
function readBack(sent: readonly Prepared[]): FetchedRecord[] {
  return decodeBatches(encodeBatch(sent, { id: 1n, epoch: 0 }, 0, 0), 0).records;
}

function headersOf(record: FetchedRecord | undefined): Record<string, string> {
  const list = record ? [...readHeaders(record.headers)] : [];
  return Object.fromEntries(list.map(({ name, value }) => [name, value.toString()]));
}

const topic = {
  name: "texts.v1",
  schema: StringValueSchema,
  keyOf: ({ value }: StringValue) => value.slice(0, 1),
  eventType: "test.text",
  partitions: 1,
  retention: { ms: 1_000 },
  recordBytesMax: 100_000,
  batchBytesMax: 200_000,
} as const;
const text = (value: string) => create(StringValueSchema, { value });

/** A message type with an `id`, which the well-known types lack. */
function createThingSchema() {
  const set = create(FileDescriptorSetSchema, {
    file: [
      {
        name: "thing.proto",
        syntax: "proto3",
        messageType: [
          {
            name: "Thing",
            field: [
              {
                name: "id",
                jsonName: "id",
                number: 1,
                type: FieldDescriptorProto_Type.STRING,
                label: FieldDescriptorProto_Label.OPTIONAL,
              },
            ],
          },
        ],
      },
    ],
  });
  const schema = createFileRegistry(set).getMessage("Thing");
  if (!schema) throw new Error("the test's own schema is faulty");
  return schema;
}

test("a value goes out as protobuf under its key, with CloudEvents headers", async () => {
  const { producer, read } = createFakeProducer();
  await createPublisher(producer, topic, "test")([text("hello")]);
  const [record] = read();
  expect(record?.key?.toString()).toBe("h");
  expect(record?.value).toEqual(Buffer.from(toBinary(StringValueSchema, text("hello"))));
  expect(headersOf(record)).toEqual({
    ce_specversion: "1.0",
    ce_type: "test.text",
    ce_source: "headgate",
    "content-type": "application/protobuf",
    ce_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  });
});

test.each(["0198c0de-0000-7000-8000-000000000001", "ïd", "x".repeat(200)])(
  "the id of the event is in its headers: %s",
  async (id) => {
    const { producer, read } = createFakeProducer();
    const schema = createThingSchema();
    const things = { ...topic, schema, keyOf: () => "k" };
    const thing = Object.assign(create(schema), { id });
    await createPublisher(producer, things, "test")([thing]);
    expect(headersOf(read()[0]).ce_id).toBe(id);
  },
);

test("the trace that was handed in goes along", async () => {
  const { producer, read } = createFakeProducer();
  const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };
  await createPublisher(producer, topic, "test")([text("hello")], { trace });
  expect(headersOf(read()[0]).traceparent).toBe(`00-${"a".repeat(32)}-${"b".repeat(16)}-01`);
});

test("encoded records go out as they are, tombstones too", () => {
  const [first, second] = readBack(
    prepareRaw([
      { topic: "t", key: "k", value: Buffer.from("v"), headers: { a: "1", b: "zwei ü" } },
      { topic: "t", key: "gone", value: null },
    ]),
  );
  expect(headersOf(first)).toEqual({ a: "1", b: "zwei ü" });
  expect(second?.value).toBeNull();
});

test("a dead letter is the record as it was, with where it came from and why", async () => {
  const { producer, read } = createFakeProducer();
  const bury = createBury(producer, { topic, group: "chat", partition: 7 });
  const [origin] = readBack(
    prepareRaw([{ topic: "t", key: "k", value: Buffer.from("v"), headers: { ce_id: "1" } }]),
  );
  if (!origin) throw new Error("nothing was read back");
  await bury({ ...origin, offset: 41 }, "r".repeat(500));
  const [record] = read();
  expect(record?.key?.toString()).toBe("k");
  expect(record?.value?.toString()).toBe("v");
  expect(headersOf(record)).toEqual({
    ce_id: "1",
    "dead-reason": "r".repeat(200),
    "dead-topic": "texts.v1",
    "dead-partition": "7",
    "dead-offset": "41",
    "dead-time": expect.stringMatching(/^\d{4}-.*Z$/),
  });
});
