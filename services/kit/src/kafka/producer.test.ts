import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AppError } from "../errors.ts";
import { createLog } from "../log.ts";
import { decodeBatches } from "./batch.ts";
import type { Cluster } from "./cluster.ts";
import type { Link, RawRequest } from "./link.ts";
import { createKafkaMetrics } from "./metrics.ts";
import type { Part, PartResult } from "./produce.ts";
import { openProducer, type Producer, type ProducerOptions } from "./producer.ts";
import { DEFAULT_SIZES } from "./publisher.ts";
import { NO_HEADERS, type Prepared, prepareRecord } from "./record.ts";

/** A request that the fake broker got and has not answered. */
type Request = {
  readonly parts: readonly { topic: string; partition: number; bytes: Buffer; values: string[] }[];
  readonly producerId: bigint;
  readonly sequence: number;
  answer(code?: number): Promise<void>;
  /** The connection breaks. */
  lose(): Promise<void>;
};

const log = createLog({ service: "test", write: () => {} });
const TOPIC = "orders.v1";

/** A broker that leads all partitions of every topic and answers when told to. */
function createFakeBroker({ partitions = 1 } = {}) {
  const requests: Request[] = [];
  const state = { leader: 1, sessions: 0, partitions: partitions as number | undefined };
  const link: Link = {
    open: true,
    async call(api) {
      if (api !== "InitProducerId") throw new Error(`not expected: ${api}`);
      state.sessions++;
      return { producerId: String(state.sessions), producerEpoch: 0 } as never; // the only call there is
    },
    send: (request) => take(request) as Promise<never>, // a produce request's result
    close() {},
  };
  const cluster: Cluster = {
    countPartitions: () => state.partitions,
    leaderOf: () => state.leader,
    refresh: async () => {},
    link: async () => link,
    anyLink: async () => link,
    coordinator: async () => link,
    controller: async () => link,
    close() {
      for (const request of requests) void request.lose();
    },
    connected: true,
  };
  return { requests, state, cluster };

  function take(request: RawRequest<unknown>): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly PartResult[]>();
    const parts = readParts(request.body);
    const [first] = parts;
    requests.push({
      parts: parts.map((part) => ({
        ...part,
        values: decodeBatches(part.bytes, 0).records.map(({ value }) => String(value)),
      })),
      producerId: first?.bytes.readBigInt64BE(43) ?? -1n,
      sequence: first?.bytes.readInt32BE(53) ?? -1,
      async answer(code = 0) {
        resolve(parts.map(({ topic, partition }) => ({ topic, partition, code })));
        await turn();
      },
      async lose() {
        reject(new Error("the connection broke"));
        await turn();
      },
    });
    return promise;
  }
}

/** The batches in a Produce request, version 7. */
function readParts(body: Buffer): Part[] {
  const parts: Part[] = [];
  let at = 12;
  for (let topics = body.readInt32BE(8); topics > 0; topics--) {
    const nameEnd = at + 2 + body.readInt16BE(at);
    const topic = body.toString("utf8", at + 2, nameEnd);
    const count = body.readInt32BE(nameEnd);
    at = nameEnd + 4;
    for (let left = count; left > 0; left--) {
      const end = at + 8 + body.readInt32BE(at + 4);
      parts.push({ topic, partition: body.readInt32BE(at), bytes: body.subarray(at + 8, end) });
      at = end;
    }
  }
  return parts;
}

function record(value: string, key = "k"): Prepared {
  return prepareRecord(TOPIC, key, Buffer.from(value), NO_HEADERS);
}

/** Lets all that is due happen, timers up to `ms` included. */
async function turn(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await vi.advanceTimersByTimeAsync(0);
}

async function open(
  broker: { cluster: Cluster },
  bounds: Partial<ProducerOptions> = {},
): Promise<Producer> {
  const producer = openProducer({
    cluster: broker.cluster,
    log,
    metrics: createKafkaMetrics(),
    timeoutMs: 10_000,
    bufferRecordsMax: 1_000,
    bufferBytesMax: 1_000_000,
    sendsInFlightMax: 1,
    ...bounds,
  });
  await turn();
  return producer;
}

const publish = (producer: Producer, records: readonly Prepared[], sizes = DEFAULT_SIZES) =>
  producer.publish(records, sizes);
const reasonOf = (sent: Promise<void>) =>
  sent.then(
    () => "acknowledged",
    (thrown) => AppError.from(thrown).reason,
  );
const values = (request: Request | undefined) => request?.parts.flatMap((part) => part.values);

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("gathering", () => {
  test("sends at once, and gathers while that is under way", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const first = publish(producer, [record("a")]);
    await turn();
    const rest = [publish(producer, [record("b"), record("c")]), publish(producer, [record("d")])];
    await turn();
    expect(broker.requests).toHaveLength(1);
    await broker.requests[0]?.answer();
    await first;
    expect(values(broker.requests[1])).toEqual(["b", "c", "d"]);
    expect(broker.requests[1]?.sequence).toBe(1);
    await broker.requests[1]?.answer();
    await Promise.all(rest);
  });

  test("keeps records of a topic that is not known yet, in their order", async () => {
    const broker = createFakeBroker();
    broker.state.partitions = undefined;
    const producer = await open(broker);
    const sent = [publish(producer, [record("a")]), publish(producer, [record("b")])];
    await turn(100);
    expect(broker.requests).toHaveLength(0);
    broker.state.partitions = 1;
    await turn(2_000);
    expect(values(broker.requests[0])).toEqual(["a", "b"]);
    await broker.requests[0]?.answer();
    await Promise.all(sent);
  });
});

describe("bounds", () => {
  test("a full buffer refuses and sends nothing of what it refused", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker, { bufferRecordsMax: 3 });
    const first = publish(producer, [record("a"), record("b")]);
    expect(await reasonOf(publish(producer, [record("c"), record("d")]))).toBe("log_full");
    const last = publish(producer, [record("e")]);
    await turn();
    expect(values(broker.requests[0])).toEqual(["a", "b", "e"]);
    await broker.requests[0]?.answer();
    await Promise.all([first, last]);
    void publish(producer, [record("f"), record("g"), record("h")]); // room again
    await turn();
    expect(values(broker.requests[1])).toEqual(["f", "g", "h"]);
  });

  test("a record larger than its topic takes is refused before it is sent", async () => {
    const producer = await open(createFakeBroker(), { bufferBytesMax: 10_000_000 });
    const sizes = { recordBytesMax: 2_000, batchBytesMax: 5_000 };
    const large = record("x".repeat(2_100));
    expect(await reasonOf(publish(producer, [large], sizes))).toBe("record_too_large");
    const others = { recordBytesMax: 2_200, batchBytesMax: 5_000 };
    expect(await Promise.race([reasonOf(publish(producer, [large], others)), turn()])).toBe(
      undefined,
    );
  });

  test("what is not acknowledged in time is rejected, and never sent after that", async () => {
    const broker = createFakeBroker();
    broker.state.leader = -1;
    const producer = await open(broker);
    const late = reasonOf(publish(producer, [record("late")]));
    await turn(10_500);
    expect(await late).toBe("log_unavailable");
    broker.state.leader = 1;
    const next = publish(producer, [record("next")]);
    await turn(2_000);
    expect(broker.requests.map(values)).toEqual([["next"]]);
    await broker.requests[0]?.answer();
    await next;
  });
});

describe("failures", () => {
  test("a batch of unknown fate is sent again as the same bytes, before anything newer", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const sent = [publish(producer, [record("a")])];
    await turn();
    sent.push(publish(producer, [record("b")]));
    await broker.requests[0]?.lose();
    await turn(1_000);
    expect(values(broker.requests[1])).toEqual(["a"]);
    expect(broker.requests[1]?.parts[0]?.bytes).toEqual(broker.requests[0]?.parts[0]?.bytes);
    await broker.requests[1]?.answer(46); // the broker had it: the answer was lost
    expect(values(broker.requests[2])).toEqual(["b"]);
    expect(broker.requests[2]?.sequence).toBe(1);
    await broker.requests[2]?.answer();
    await Promise.all(sent);
    expect(broker.state.sessions).toBe(1);
  });

  test("with several batches under way, those behind a failed one follow it in order", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker, { sendsInFlightMax: 5 });
    const sent: Promise<void>[] = [];
    for (const value of ["a", "b", "c"]) {
      sent.push(publish(producer, [record(value)]));
      await turn();
    }
    await broker.requests[0]?.answer(6); // not the leader
    await broker.requests[1]?.answer(45); // "a" is missing in front of it
    sent.push(publish(producer, [record("d")]));
    await turn(500);
    expect(broker.requests).toHaveLength(3); // "c" is still on the wire: nothing may pass it
    await broker.requests[2]?.answer(45);
    for (let at = 3; at < 7; at++) {
      await turn(500);
      await broker.requests[at]?.answer();
    }
    await Promise.all(sent);
    expect(broker.requests.slice(3).flatMap(values)).toEqual(["a", "b", "c", "d"]);
    expect(broker.state.sessions).toBe(1);
  });

  test.each([
    ["out of order", 45],
    ["unknown producer", 59],
    ["wrong epoch", 47],
  ])(
    "%s: the callers are told, and the next records go out under a new producer id",
    async (_, code) => {
      const broker = createFakeBroker();
      const producer = await open(broker);
      const lost = reasonOf(publish(producer, [record("a")]));
      await turn();
      const next = publish(producer, [record("b")]);
      await broker.requests[0]?.answer(code);
      expect(await lost).toBe("log_unavailable");
      await turn(100);
      expect(values(broker.requests[1])).toEqual(["b"]);
      expect(broker.requests[1]?.producerId).toBe(2n);
      expect(broker.requests[1]?.sequence).toBe(0);
      await broker.requests[1]?.answer();
      await next;
    },
  );

  test("a broker that never answers costs the callers their deadline and no more", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const lost = reasonOf(publish(producer, [record("a")]));
    await turn(10_500);
    expect(await lost).toBe("log_unavailable");
    const next = publish(producer, [record("b")]);
    await turn(1_000);
    expect(values(broker.requests.at(-1))).toEqual(["b"]);
    expect(broker.requests.at(-1)?.producerId).toBe(2n);
    await broker.requests.at(-1)?.answer();
    await next;
  });

  test("a record the broker finds too large is told so, its neighbours' partition goes on", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const large = reasonOf(publish(producer, [record("large")]));
    await turn();
    await broker.requests[0]?.answer(10);
    expect(await large).toBe("record_too_large");
    const next = publish(producer, [record("b")]);
    await turn(100);
    await broker.requests[1]?.answer();
    await next;
  });
});

describe("closing", () => {
  test("sends what waits and takes nothing more", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const sent = publish(producer, [record("a")]);
    const closed = producer.close();
    expect(await reasonOf(publish(producer, [record("b")]))).toBe("log_unavailable");
    await turn();
    await broker.requests[0]?.answer();
    await Promise.all([sent, closed]);
    expect(broker.requests.map(values)).toEqual([["a"]]);
  });
});
