/** Where things are: which broker leads which partition, who coordinates a group, and the connections to them. */
import type { Log } from "../log.ts";
import { UNKNOWN_TOPIC } from "./codes.ts";
import { type Address, type Link, openLink } from "./link.ts";
import { createReportRefusal, type ReportRefusal } from "./refusals.ts";
import type { KafkaAccess } from "./types.ts";

/** What a cluster knows and opens. One for all publishers, consumers and followers of a process. */
export type Cluster = {
  /** How many partitions a topic has; undefined while that is not known. */
  countPartitions(topic: string): number | undefined;
  /** Why a topic is not known, by the last answer about it. */
  whyUnknown(topic: string): TopicUnknown;
  /** Node that leads a partition; -1 while there is none. */
  leaderOf(topic: string, partition: number): number;
  /** Asks anew, for these topics too from now on; calls at the same time share one question. @throws when no broker answers */
  refresh(topics?: readonly string[]): Promise<void>;
  /** The connection to a node for one purpose (answers come in order, so long polls have their own). */
  link(node: number, purpose: string): Promise<Link>;
  /** A connection to whichever broker answers. */
  anyLink(): Promise<Link>;
  /** The connection to a group's coordinator. @throws when it is not known yet */
  coordinator(group: string, purpose: string): Promise<Link>;
  /** The connection to the broker that creates topics. */
  controller(): Promise<Link>;
  /** Drops the connections of one purpose, to all brokers or to one node; without a purpose all, for good. */
  close(purpose?: string, node?: number): void;
  /** Whether any connection is open. */
  readonly connected: boolean;
  /** Logs what a broker refuses for good; refused connections are reported here already. */
  readonly reportRefusal: ReportRefusal;
};

/** The brokers do not name a topic; `code` is theirs, 3 when there is no such topic. */
export class TopicUnknown extends Error {
  readonly code: number;

  constructor(topic: string, code: number) {
    super(`topic ${topic} is not there (error ${code})`);
    this.code = code;
  }
}

/** ms for the whole of a metadata question, over all brokers that are tried. */
const REFRESH_TIMEOUT_MS = 10_000;
/** ms for one broker to answer it: another one may be quicker. Doubled after each failure, where all of them are slow. */
const METADATA_TIMEOUT_MS = { first: 2_000, most: 8_000 };

/** A connection, open or opening. */
type Entry = {
  readonly link: Promise<Link>;
  open?: Link;
  /** Ends the opening for those who wait for it. */
  readonly cancel: (error: Error) => void;
};

/** Knows nothing and connects nowhere until asked. */
export function createCluster(
  options: KafkaAccess & { readonly clientId: string; readonly log: Log },
): Cluster {
  const reportRefusal = createReportRefusal(options.log);
  const seeds = options.brokers.map(parseAddress);
  const nodes = new Map<number, Address>();
  const leaders = new Map<string, number[]>();
  const refusals = new Map<string, number>();
  const wanted = new Set<string>();
  const links = new Map<string, Entry>();
  /** Address → when it last did not answer, in ms of `performance.now()`. */
  const failedAt = new Map<string, number>();
  let controllerId = -1;
  let metadataTimeoutMs = METADATA_TIMEOUT_MS.first;
  let asking: Promise<void> | undefined;
  let closed = false;

  return {
    countPartitions: (topic) => leaders.get(topic)?.length,
    whyUnknown: (topic) => new TopicUnknown(topic, refusals.get(topic) ?? UNKNOWN_TOPIC),
    leaderOf: (topic, partition) => leaders.get(topic)?.[partition] ?? -1,
    refresh,
    link: (node, purpose) => linkTo(nodes.get(node), purpose),
    anyLink,
    coordinator,
    async controller() {
      await refresh();
      return linkTo(nodes.get(controllerId), "meta");
    },
    close,
    reportRefusal,
    get connected() {
      return [...links.values()].some(({ open }) => open?.open);
    },
  };

  async function refresh(topics: readonly string[] = []): Promise<void> {
    const fresh = topics.filter((topic) => !wanted.has(topic));
    for (const topic of fresh) wanted.add(topic);
    if (asking && fresh.length > 0) await asking.catch(() => {}); // that question was without them
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function ask(): Promise<void> {
    const link = await anyLink();
    const answer = await link
      .call(
        "Metadata",
        { topics: [...wanted], allowAutoTopicCreation: false },
        { lenient: true, timeoutMs: metadataTimeoutMs },
      )
      .catch((thrown) => {
        failedAt.set(link.address, performance.now());
        metadataTimeoutMs = Math.min(2 * metadataTimeoutMs, METADATA_TIMEOUT_MS.most);
        throw thrown;
      });
    metadataTimeoutMs = METADATA_TIMEOUT_MS.first;
    nodes.clear();
    for (const { nodeId, host, port } of answer.brokers) nodes.set(nodeId, { host, port });
    controllerId = answer.controllerId;
    for (const { topic, topicErrorCode, partitionMetadata } of answer.topicMetadata) {
      refusals.set(topic, topicErrorCode);
      if (topicErrorCode !== 0 || partitionMetadata.length === 0) continue; // what we knew may still hold
      const next: number[] = [];
      for (const { partitionId, leader } of partitionMetadata) next[partitionId] = leader;
      leaders.set(topic, next);
    }
  }

  async function anyLink(): Promise<Link> {
    const tried = new Set<string>();
    let failure: unknown = new Error("no broker is known");
    const deadline = AbortSignal.timeout(REFRESH_TIMEOUT_MS);
    const lastFailure = (address: Address) => failedAt.get(nameOf(address)) ?? 0;
    const candidates = [...shuffle([...nodes.values()]), ...shuffle(seeds)];
    for (const address of candidates.sort((a, b) => lastFailure(a) - lastFailure(b))) {
      const name = nameOf(address);
      if (tried.has(name) || deadline.aborted) continue;
      tried.add(name);
      try {
        return await linkTo(address, "meta");
      } catch (thrown) {
        failure = thrown;
      }
    }
    throw failure;
  }

  async function coordinator(group: string, purpose: string): Promise<Link> {
    const link = await anyLink();
    const { coordinator: found } = await link.call("GroupCoordinator", { groupId: group });
    return linkTo(found, purpose);
  }

  async function linkTo(address: Address | undefined, purpose: string): Promise<Link> {
    if (closed) throw new Error("the door to the log is closed");
    if (!address) throw new Error("the broker is not known");
    const name = nameOf(address);
    const key = `${purpose}@${name}`;
    const known = links.get(key);
    if (known && (!known.open || known.open.open)) return known.link;
    known?.open?.close();
    const { promise, resolve, reject } = Promise.withResolvers<Link>();
    const entry: Entry = { link: promise, cancel: reject };
    links.set(key, entry);
    openLink(address, options).then(
      (link) => {
        failedAt.delete(name);
        if (links.get(key) !== entry) return link.close(); // closed meanwhile
        entry.open = link;
        resolve(link);
      },
      (thrown) => {
        failedAt.set(name, performance.now());
        reportRefusal(thrown, { broker: name });
        if (links.get(key) === entry) links.delete(key);
        reject(thrown);
      },
    );
    return promise;
  }

  function close(purpose?: string, node?: number): void {
    if (purpose === undefined) closed = true;
    const address = node === undefined ? undefined : nodes.get(node);
    if (node !== undefined && !address) return;
    const start = purpose === undefined ? "" : `${purpose}@${address ? nameOf(address) : ""}`;
    for (const [key, entry] of links) {
      if (address ? key !== start : !key.startsWith(start)) continue;
      links.delete(key);
      entry.open?.close();
      entry.cancel(new Error("the connection to the broker was closed"));
    }
  }
}

function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** `host:port`, `[v6]:port`. */
function parseAddress(text: string): Address {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}

function shuffle<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
