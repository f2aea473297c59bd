import { describe, expect, test } from "vitest";
import { AppError } from "../errors.ts";
import type { FetchedRecord } from "./batch.ts";
import { createBury } from "./dead-letter.ts";
import type { Producer } from "./producer.ts";
import { recordTooLarge } from "./publish-errors.ts";
import {
  encodeHeaders,
  joinBlocks,
  NO_HEADERS,
  type Prepared,
  readHeaders,
  readVarint,
} from "./record.ts";

type Letter = { topic: string; key: string; value: number | null; headers: Map<string, string> };

/** Buries one record into a topic that takes records of `bytesMax`; returns what it took. */
async function bury(
  record: Partial<FetchedRecord>,
  { bytesMax = 1_000, failure }: { bytesMax?: number; failure?: AppError } = {},
) {
  const letters: Letter[] = [];
  const producer: Pick<Producer, "publish"> = {
    async publish([prepared]) {
      if (failure) throw failure;
      if (!prepared || prepared.tail.length > bytesMax) throw recordTooLarge();
      letters.push(read(prepared));
    },
  };
  const from = {
    topic: { name: "orders.v1", recordBytesMax: bytesMax, batchBytesMax: bytesMax },
    group: "work",
    partition: 3,
  };
  const whole: FetchedRecord = {
    offset: 42,
    timestamp: 0,
    key: Buffer.from("k"),
    value: Buffer.from("v"),
    headers: headersOf([["traceparent", "00-aa"]]),
    ...record,
  };
  const omittedBytes = await createBury(producer as Producer, from)(whole, "bad_row");
  return { omittedBytes, letters };
}

function headersOf(list: readonly (readonly [string, string])[]): Buffer {
  const block = joinBlocks(NO_HEADERS, encodeHeaders(list));
  return Buffer.concat([Buffer.of(block.count * 2), block.bytes]); // a varint of less than 64
}

function read({ topic, tail, keyStart, keyEnd }: Prepared): Letter {
  const cursor = { at: keyEnd };
  const value = readVarint(tail, cursor);
  const headers = readHeaders(tail.subarray(cursor.at + Math.max(value, 0)));
  return {
    topic,
    key: tail.toString("utf8", keyStart, keyEnd),
    value: value < 0 ? null : value,
    headers: new Map([...headers].map((header) => [header.name, header.value.toString()])),
  };
}

describe("a dead letter", () => {
  test("keeps key, value and headers, and says where the record came from and why", async () => {
    const { omittedBytes, letters } = await bury({});
    expect(omittedBytes).toBe(0);
    expect(letters).toMatchObject([{ topic: "orders.v1.work.dead", key: "k", value: 1 }]);
    expect(Object.fromEntries(letters[0]?.headers ?? [])).toMatchObject({
      traceparent: "00-aa",
      "dead-reason": "bad_row",
      "dead-topic": "orders.v1",
      "dead-partition": "3",
      "dead-offset": "42",
    });
  });

  test("that its topic refuses for its size is kept without its value and says how many bytes are missing", async () => {
    const { omittedBytes, letters } = await bury({ value: Buffer.alloc(5_000) });
    expect(omittedBytes).toBe(5_000);
    expect(letters).toMatchObject([{ key: "k", value: null }]);
    expect(Object.fromEntries(letters[0]?.headers ?? [])).toMatchObject({
      traceparent: "00-aa",
      "dead-reason": "bad_row",
      "dead-offset": "42",
      "dead-value-omitted": "5000",
    });
  });

  test("without its value leaves out a large key and large headers too", async () => {
    const headers = headersOf([["big", "h".repeat(10_000)]]);
    const { letters } = await bury({ key: Buffer.alloc(2_000), headers, value: Buffer.alloc(9) });
    expect(letters).toMatchObject([{ key: "", value: null }]);
    expect(Object.fromEntries(letters[0]?.headers ?? [])).toMatchObject({
      "dead-reason": "bad_row",
      "dead-value-omitted": "9",
      "dead-key-omitted": "2000",
      "dead-headers-omitted": String(headers.length),
    });
  });

  test("that cannot be written now fails as the producer does", async () => {
    const failure = new AppError("unavailable", "log_unavailable", "away");
    await expect(bury({}, { failure })).rejects.toBe(failure);
  });
});
