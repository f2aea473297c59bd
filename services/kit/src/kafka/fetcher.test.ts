import { afterEach, expect, test, vi } from "vitest";
import { createLog } from "../log.ts";
import { encodeBatch } from "./batch.ts";
import { type Cluster, TopicUnknown } from "./cluster.ts";
import type { FetchedPart } from "./fetch.ts";
import { type Fetched, type Fetcher, openFetcher } from "./fetcher.ts";
import type { Link, RawRequest } from "./link.ts";
import { createKafkaMetrics } from "./metrics.ts";
import type { Position } from "./offsets.ts";
import { NO_HEADERS, prepareRecord } from "./record.ts";

const TOPIC = "orders.v1";
const open: Fetcher[] = [];
afterEach(() => {
  for (const fetcher of open.splice(0)) fetcher.close();
});

type Asked = { readonly partition: number; readonly offset: number };

/** What the broker has of one partition: an answer to each fetch of it. */
type Partition = (offset: number) => Partial<FetchedPart>;

/** One record at each offset from `from` to `end`, of one leader epoch. */
function batchOf(from: number, end: number, epoch = 0): Buffer {
  const records = Array.from({ length: end - from }, (_, at) =>
    prepareRecord(TOPIC, "k", Buffer.from(`${from + at}`), NO_HEADERS),
  );
  if (records.length === 0) return Buffer.alloc(0);
  const bytes = encodeBatch(records, { id: -1n, epoch: -1 }, -1, 1_000);
  bytes.writeBigInt64BE(BigInt(from), 0);
  bytes.writeInt32BE(epoch, 12);
  return bytes;
}

function start(
  partitions: Partition[],
  { epochEnd = 0, positions }: { epochEnd?: number; positions?: Position[] } = {},
) {
  const requests: Asked[][] = [];
  const lines: Record<string, unknown>[] = [];
  const fetched: Fetched[] = [];
  const log = createLog({ service: "test", write: (line) => void lines.push(JSON.parse(line)) });
  const link: Link = {
    open: true,
    address: "127.0.0.1:9092",
    async call(_, params) {
      const { timestamp } = (params as { topics: { partitions: { timestamp: number }[] }[] })
        .topics[0]?.partitions[0] ?? { timestamp: 0 };
      const offset = timestamp === -2 ? "0" : "1000";
      const answer = { partition: 0, errorCode: 0, offset };
      return { responses: [{ topic: TOPIC, partitions: [answer] }] } as never; // the edges
    },
    send: (request) => answer(request) as Promise<never>, // of a fetch, or of an epoch's end
    close() {},
  };
  const cluster: Cluster = {
    countPartitions: () => partitions.length,
    whyUnknown: (topic) => new TopicUnknown(topic, 3),
    leaderOf: () => 1,
    refresh: async () => {},
    link: async () => link,
    anyLink: async () => link,
    coordinator: async () => link,
    controller: async () => link,
    close() {},
    connected: true,
    reportRefusal: () => {},
  };
  const begin = positions ?? partitions.map(() => ({ offset: 0 }));
  const fetcher = openFetcher({
    cluster,
    log,
    metrics: createKafkaMetrics(),
    topic: TOPIC,
    purpose: "test",
    positions: new Map(begin.map((position, partition) => [partition, position])),
    wants: () => true,
    onFetched: (some) => fetched.push(some),
  });
  open.push(fetcher);
  return { requests, lines, fetched, fetcher };

  async function answer({ apiKey, body }: RawRequest<unknown>): Promise<unknown> {
    if (apiKey === 23) return { code: 0, endOffset: epochEnd };
    const asked = readAsked(body);
    requests.push(asked);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return asked.map(({ partition, offset }): FetchedPart => {
      const part = partitions[partition]?.(offset) ?? {};
      return { partition, code: 0, highWatermark: 1_000, bytes: Buffer.alloc(0), ...part };
    });
  }
}

/** The partitions of a Fetch request, in its order. */
function readAsked(body: Buffer): Asked[] {
  const at = 31 + body.readInt16BE(29);
  return Array.from({ length: body.readInt32BE(at) }, (_, index) => ({
    partition: body.readInt32BE(at + 4 + index * 28),
    offset: Number(body.readBigInt64BE(at + 4 + index * 28 + 8)),
  }));
}

const empty: Partition = () => ({});
const asksOf = (requests: Asked[][], wanted: number) =>
  requests.filter((asked) => asked.some(({ partition }) => partition === wanted)).length;

test("a partition that cannot be read is asked for ever more seldom, and the others as often as ever", async () => {
  const broken: Partition = () => ({ bytes: Buffer.alloc(100, 7).fill(0, 8, 12) });
  const { requests, lines } = start([empty, broken]);
  await vi.waitFor(() => expect(asksOf(requests, 0)).toBeGreaterThan(100), 20_000);
  expect(asksOf(requests, 1)).toBeLessThan(asksOf(requests, 0) / 4);
  expect(lines.filter(({ msg }) => msg === "log.fetch_failed")).toHaveLength(1);
});

test("each partition of a broker is the first of a request in its turn", async () => {
  const { requests } = start([empty, empty, empty]);
  await vi.waitFor(() => expect(requests.length).toBeGreaterThan(6), 20_000);
  expect(new Set(requests.slice(0, 3).map(([first]) => first?.partition))).toEqual(
    new Set([0, 1, 2]),
  );
});

test("a refusal that does not pass by itself is logged with what to do, and the partition is not ready", async () => {
  const { lines, fetcher, requests } = start([empty, () => ({ code: 29 })]);
  await vi.waitFor(() => expect(fetcher.denied).toBe(true), 20_000);
  expect(fetcher.reading).toBe(false);
  await vi.waitFor(() => expect(asksOf(requests, 0)).toBeGreaterThan(20), 20_000);
  expect(asksOf(requests, 1)).toBe(1);
  expect(lines.filter(({ msg }) => msg === "log.access_denied")).toMatchObject([
    { severity: "error", partition: 1, code: 29, hint: expect.stringContaining("grant") },
  ]);
});

test("a log that was rolled back and written on is read again from where the old leader's records end", async () => {
  const log: Partition = (offset) => ({ bytes: batchOf(offset, 1_000, 2) });
  const { fetched, lines } = start([log], {
    epochEnd: 40,
    positions: [{ offset: 90, epoch: 1 }],
  });
  await vi.waitFor(() => expect(fetched.length).toBeGreaterThan(1), 20_000);
  expect(fetched[0]).toMatchObject({ moved: "back", next: 40, records: [] });
  expect(fetched[1]?.records.at(0)?.offset).toBe(40);
  expect(lines).toContainEqual(
    expect.objectContaining({ msg: "log.position_lost", from: 90, to: 40 }),
  );
});

test("a leader that changed without a loss is read on, and asked about its epoch once", async () => {
  const log: Partition = (offset) => ({ bytes: batchOf(offset, offset + 1, 2) });
  const { fetched } = start([log], { epochEnd: 90, positions: [{ offset: 90, epoch: 1 }] });
  await vi.waitFor(() => expect(fetched.length).toBeGreaterThan(3), 20_000);
  expect(fetched.slice(0, 3).map(({ records }) => records[0]?.offset)).toEqual([90, 91, 92]);
  expect(fetched.every(({ moved }) => moved === undefined)).toBe(true);
});

test("a position beyond the end goes back by time where the epoch is not known, and to the start without one", async () => {
  const log: Partition = (offset) =>
    offset > 1_000 ? { code: 1 } : { bytes: batchOf(offset, 1_000, 2) };
  const byNothing = start([log], { positions: [{ offset: 5_000 }] });
  await vi.waitFor(() => expect(byNothing.fetched.length).toBeGreaterThan(0), 20_000);
  expect(byNothing.fetched[0]).toMatchObject({ moved: "back", next: 0 });
  const byTime = start([log], { positions: [{ offset: 5_000, timeMs: 1_000_000 }] });
  await vi.waitFor(() => expect(byTime.fetched.length).toBeGreaterThan(0), 20_000);
  expect(byTime.fetched[0]).toMatchObject({ moved: "back", next: 1_000 });
});

test("an answer to a question from before a seek is dropped", async () => {
  const log: Partition = (offset) => {
    if (offset === 0) fetcher.seek(0, 500); // while the answer is under way
    return { bytes: batchOf(offset, offset + 1) };
  };
  const { fetched, fetcher } = start([log]);
  await vi.waitFor(() => expect(fetched.length).toBeGreaterThan(0), 20_000);
  expect(fetched[0]?.records[0]?.offset).toBe(500);
});
