import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AppError } from "../errors.ts";
import { createLog } from "../log.ts";
import { decodeBatches } from "./batch.ts";
import { type Cluster, TopicUnknown } from "./cluster.ts";
import type { Link, RawRequest } from "./link.ts";
import { createKafkaMetrics } from "./metrics.ts";
import type { Part, PartResult } from "./produce.ts";
import { openProducer, type Producer, type ProducerOptions } from "./producer.ts";
import { DEFAULT_SIZES } from "./publisher.ts";
import { NO_HEADERS, type Prepared, prepareRecord } from "./record.ts";

/** A request that the fake broker got and has not answered. */
type Request = {
  readonly node: number;
  readonly parts: readonly { topic: string; partition: number; bytes: Buffer; values: string[] }[];
  readonly producerId: bigint;
  readonly sequence: number;
  answer(code?: number | ((partition: number, bytes: Buffer) => number)): Promise<void>;
  /** The connection breaks. */
  lose(): Promise<void>;
};

const log = createLog({ service: "test", write: () => {} });
const TOPIC = "orders.v1";

/** Brokers of which `leader` leads all partitions, or `leaders` those that it names, and that answer when told to. */
function createFakeBroker({ partitions = 1 } = {}) {
  const requests: Request[] = [];
  const state = {
    leader: 1,
    leaders: {} as Record<number, number>,
    sessions: 0,
    partitions: partitions as number | undefined,
    unreachable: false,
  };
  const linkTo = (node: number): Link => ({
    open: true,
    address: "fake:1",
    async call(api) {
      if (api !== "InitProducerId") throw new Error(`not expected: ${api}`);
      state.sessions++;
      return { producerId: String(state.sessions), producerEpoch: 0 } as never; // the only call there is
    },
    send: (request, { timeoutMs = 5_000 } = {}) => take(node, request, timeoutMs) as Promise<never>, // a produce request's result
    close() {},
  });
  const cluster: Cluster = {
    countPartitions: () => state.partitions,
    whyUnknown: (topic) => new TopicUnknown(topic, 3),
    leaderOf: (_, partition) => state.leaders[partition] ?? state.leader,
    refresh: async () => {},
    async link(node) {
      if (state.unreachable) throw new Error("the connection was refused");
      return linkTo(node);
    },
    anyLink: async () => linkTo(1),
    coordinator: async () => linkTo(1),
    controller: async () => linkTo(1),
    close(_, node) {
      for (const request of requests) {
        if (node === undefined || request.node === node) void request.lose();
      }
    },
    connected: true,
    reportRefusal: () => {},
  };
  return { requests, state, cluster };

  function take(node: number, request: RawRequest<unknown>, timeoutMs: number): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly PartResult[]>();
    const parts = readParts(request.body);
    const [first] = parts;
    const timer = setTimeout(() => reject(new Error("no answer in time")), timeoutMs);
    void promise.catch(() => {}).finally(() => clearTimeout(timer));
    requests.push({
      node,
      parts: parts.map((part) => ({
        ...part,
        values: decodeBatches(part.bytes, 0).records.map(({ value }) => String(value)),
      })),
      producerId: first?.bytes.readBigInt64BE(43) ?? -1n,
      sequence: first?.bytes.readInt32BE(53) ?? -1,
      async answer(code = 0) {
        resolve(
          parts.map(({ topic, partition, bytes }) => ({
            topic,
            partition,
            code: typeof code === "number" ? code : code(partition, bytes),
          })),
        );
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

/** Answers every request that came since the last time; a batch over `bytesMax` is refused. */
const answerAll = async (broker: ReturnType<typeof createFakeBroker>, bytesMax: number) => {
  for (let at = 0; at < broker.requests.length; at++) {
    await broker.requests[at]?.answer((_, bytes) => (bytes.length > bytesMax ? 10 : 0));
    await turn(10);
  }
};

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
  ])("%s: a batch that no broker has goes out again under a new producer id", async (_, code) => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const sent = [publish(producer, [record("a")])];
    await turn();
    sent.push(publish(producer, [record("b")]));
    await broker.requests[0]?.answer(code);
    await turn(1_000);
    expect(values(broker.requests[1])).toEqual(["a", "b"]);
    expect(broker.requests[1]?.producerId).toBe(2n);
    expect(broker.requests[1]?.sequence).toBe(0);
    await broker.requests[1]?.answer();
    await Promise.all(sent);
  });

  test("a batch that a broker may have never goes out under a new producer id", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const lost = reasonOf(publish(producer, [record("a")]));
    await turn();
    const next = publish(producer, [record("b")]);
    await broker.requests[0]?.lose();
    await turn(100);
    await broker.requests[1]?.answer(59); // after the same bytes were sent again
    expect(await lost).toBe("log_unsure");
    await turn(1_000);
    expect(values(broker.requests[2])).toEqual(["b"]);
    expect(broker.requests[2]?.producerId).toBe(2n);
    await broker.requests[2]?.answer();
    await next;
  });

  test("records that the broker does not allow are refused, and those behind them keep the session", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const refused = reasonOf(publish(producer, [record("a")]));
    await turn();
    await broker.requests[0]?.answer(29);
    expect(await refused).toBe("log_unavailable");
    const next = publish(producer, [record("b")]);
    await turn(1_000);
    expect(values(broker.requests[1])).toEqual(["b"]);
    expect(broker.requests[1]?.sequence).toBe(0);
    await broker.requests[1]?.answer();
    await next;
    expect(broker.state.sessions).toBe(1);
  });

  test("a broker that never answers costs the callers their deadline and no more", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const lost = reasonOf(publish(producer, [record("a")]));
    await turn(10_500);
    expect(await lost).toBe("log_unsure");
    const next = publish(producer, [record("b")]);
    await turn(1_000);
    expect(values(broker.requests.at(-1))).toEqual(["b"]);
    expect(broker.requests.at(-1)?.producerId).toBe(2n);
    await broker.requests.at(-1)?.answer();
    await next;
  });

  test("a batch that was never sent fails as not kept, and its numbers are given anew", async () => {
    const broker = createFakeBroker();
    broker.state.unreachable = true;
    const producer = await open(broker);
    const late = reasonOf(publish(producer, [record("late")]));
    await turn(5_000);
    const next = publish(producer, [record("next")]);
    await turn(5_500);
    expect(await late).toBe("log_unavailable");
    broker.state.unreachable = false;
    await turn(1_500);
    expect(broker.requests.map(values)).toEqual([["next"]]);
    expect(broker.requests[0]?.sequence).toBe(0);
    await broker.requests[0]?.answer();
    await next;
    expect(broker.state.sessions).toBe(1);
  });

  test("of a gathered batch without an answer each call ends at its own deadline", async () => {
    const broker = createFakeBroker();
    broker.state.leader = -1;
    const producer = await open(broker);
    const first = reasonOf(publish(producer, [record("a")]));
    await turn(6_000);
    const second = publish(producer, [record("b")]);
    broker.state.leader = 1;
    await turn(1_500);
    expect(values(broker.requests[0])).toEqual(["a", "b"]);
    await turn(3_000);
    expect(await first).toBe("log_unsure");
    await turn(1_000); // the request was given up after 5 s and sent again
    expect(values(broker.requests[1])).toEqual(["a", "b"]);
    await broker.requests[1]?.answer(46);
    await second;
  });

  test("bytes that a broker does not answer go to the next leader within the deadline", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const sent = publish(producer, [record("a")]);
    await turn(4_000);
    broker.state.leader = 2;
    await turn(1_500);
    const [first, second] = broker.requests;
    expect([first?.node, second?.node]).toEqual([1, 2]);
    expect(second?.parts[0]?.bytes).toEqual(first?.parts[0]?.bytes);
    await second?.answer();
    await sent;
  });

  test("a broker that does not answer is not waited for longer than a request may take", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const sent = publish(producer, [record("a")]);
    await turn(6_000); // of the 10 s that the publish has
    expect(broker.requests.map(values)).toEqual([["a"], ["a"]]);
    await broker.requests[1]?.answer();
    await sent;
  });

  test("a wall clock that steps back delays nothing", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const sent = publish(producer, [record("a")]);
    await turn();
    await broker.requests[0]?.answer(6);
    vi.setSystemTime(Date.now() - 120_000);
    await turn(1_000);
    await broker.requests[1]?.answer();
    await sent;
    const late = reasonOf(publish(producer, [record("b")]));
    vi.setSystemTime(Date.now() - 120_000);
    await turn(10_500);
    expect(await late).toBe("log_unsure");
  });
});

describe("batches that the broker finds too large", () => {
  test("are divided between calls until they fit, and no call is refused", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const names = Array.from({ length: 40 }, (_, at) => `${at}`.padEnd(450, "x"));
    const sent = names.map((name) => publish(producer, [record(name)]));
    await turn();
    await answerAll(broker, 2_000);
    await Promise.all(sent);
    const stored = broker.requests.filter(({ parts }) => Number(parts[0]?.bytes.length) <= 2_000);
    expect(stored.flatMap(values)).toEqual(names);
    expect(broker.state.sessions).toBe(1);
  });

  test("cost only the call that is too large by itself", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const before = publish(producer, [record("before")]);
    const large = reasonOf(publish(producer, [record("large".repeat(500))]));
    const after = publish(producer, [record("after")]);
    await turn();
    await answerAll(broker, 2_000);
    expect(await large).toBe("record_too_large");
    await Promise.all([before, after]);
    expect(broker.state.sessions).toBe(1);
  });
});

describe("records that need not be kept together", () => {
  test("are divided when the broker takes less than is declared", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker);
    const names = Array.from({ length: 20 }, (_, at) => `${at}`.padEnd(450, "x"));
    const sent = producer.publish(
      names.map((name) => record(name)),
      DEFAULT_SIZES,
      false,
    );
    await turn();
    await answerAll(broker, 2_000);
    await sent;
    const stored = broker.requests.filter(({ parts }) => Number(parts[0]?.bytes.length) <= 2_000);
    expect(stored.flatMap(values)).toEqual(names);
  });
});

describe("the records of one call", () => {
  const SIZES = { recordBytesMax: 400_000, batchBytesMax: 4_000_000 };
  const some = (count: number, name: string) =>
    Array.from({ length: count }, (_, at) => record(`${name}${at}`.padEnd(300_000, "x")));
  const short = (request: Request | undefined) => values(request)?.map((text) => text.slice(0, 2));

  test("are one batch, and calls are gathered only as far as a batch has room", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker, { bufferBytesMax: 10_000_000 });
    const sent = [
      publish(producer, some(1, "a"), SIZES),
      publish(producer, some(1, "b"), SIZES),
      publish(producer, some(10, "c"), SIZES),
      publish(producer, some(1, "d"), SIZES),
    ];
    await turn();
    for (let at = 0; at < 3; at++) await broker.requests[at]?.answer();
    await Promise.all(sent);
    expect(broker.requests.map(short)).toEqual([
      ["a0", "b0"],
      ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"],
      ["d0"],
    ]);
  });

  test("that are more than the topic takes in a batch are refused before anything is sent", async () => {
    const broker = createFakeBroker({ partitions: 2 });
    const producer = await open(broker, { bufferBytesMax: 10_000_000 });
    const refused = publish(producer, [...some(14, "a"), record("other", "key-2")], SIZES);
    expect(await reasonOf(refused)).toBe("batch_too_large");
    await turn(100);
    expect(broker.requests).toEqual([]);
  });

  test("are divided where they need not be kept together", async () => {
    const broker = createFakeBroker();
    const producer = await open(broker, { bufferBytesMax: 10_000_000 });
    const sent = producer.publish(some(14, "a"), SIZES, false);
    await turn();
    for (let at = 0; at < 7; at++) await broker.requests[at]?.answer();
    await sent;
    expect(broker.requests).toHaveLength(7); // two records fit into what is gathered
  });

  test("in other partitions are not sent once one partition refused its own", async () => {
    const broker = createFakeBroker({ partitions: 2 });
    broker.state.leaders = { 1: -1 };
    const producer = await open(broker);
    const [first, second] = [record("a", "key-2"), record("b", "key-0")];
    const sent = reasonOf(publish(producer, [first, second]));
    await turn();
    expect(broker.requests.map(values)).toEqual([["a"]]);
    await broker.requests[0]?.answer(29);
    expect(await sent).toBe("log_unavailable");
    broker.state.leaders = {};
    await turn(5_000);
    expect(broker.requests).toHaveLength(1);
  });

  test("that were kept in one partition and not in another are not called refused", async () => {
    const broker = createFakeBroker({ partitions: 2 });
    broker.state.leaders = { 1: -1 };
    const producer = await open(broker);
    const sent = reasonOf(publish(producer, [record("a", "key-2"), record("b", "key-0")]));
    await turn();
    await broker.requests[0]?.answer();
    await turn(10_500);
    expect(await sent).toBe("log_unsure");
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
