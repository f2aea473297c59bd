/** Sends generated requests over a few connections at once, each as soon as the one before is answered. */
import fc from "fast-check";
import { type Answer, type Connection, openConnection } from "./connection.ts";
import { MARK, markOf } from "./marks.ts";
import type { FuzzRequest } from "./requests.ts";
import { toBytes } from "./wire.ts";

/** What became of a request; no answer: the connection was closed without one. */
export type Outcome<Tag> = {
  readonly tag: Tag;
  readonly request: FuzzRequest;
  readonly mark: string;
  readonly answer: Answer | undefined;
  readonly tookMs: number;
};

/** A storm to run. */
export type Storm<Tag> = {
  readonly port: number;
  readonly seed: number;
  readonly count: number;
  readonly connections: number;
  /** Where requests come from, taken in turns. */
  readonly sources: readonly { readonly tag: Tag; readonly requests: fc.Arbitrary<FuzzRequest> }[];
  /** ms in which every request must be answered. */
  readonly answerMs: number;
  readonly onOutcome: (outcome: Outcome<Tag>) => void;
};

/** Requests generated in one go: few, so that no answer waits long for the generator. */
const BATCH = 50;
/** Of the requests with a key of their own, every one of which this is a divisor is sent again. */
const REPEAT_EVERY = 2;

/**
 * Runs the storm. Requests with a key of their own are sent twice at times, as a sender would that missed the answer.
 * @throws Error when a request is not answered in time
 */
export async function runStorm<Tag>(storm: Storm<Tag>): Promise<void> {
  let generated = 0;
  let queue: { tag: Tag; request: FuzzRequest; mark: string }[] = [];

  function next() {
    if (queue.length === 0 && generated < storm.count) queue = generate();
    return queue.shift();
  }

  function generate() {
    const { tag, requests } = at(storm.sources, (generated / BATCH) % storm.sources.length);
    const numRuns = Math.min(BATCH, storm.count - generated);
    const batch = fc.sample(requests, { numRuns, seed: storm.seed + generated });
    return batch.map((request) => ({ tag, request, mark: markOf(generated++) }));
  }

  async function runLane(): Promise<void> {
    let connection: Connection | undefined;
    try {
      for (let shot = next(); shot !== undefined; shot = next()) {
        const bytes = toBytes(shot.request, shot.mark);
        const isKeyed = shot.request.headers["idempotency-key"] === MARK;
        const times =
          isKeyed && Number.parseInt(shot.mark.slice(1, -1), 36) % REPEAT_EVERY === 0 ? 2 : 1;
        for (let time = 0; time < times; time++) {
          if (!connection?.isOpen) {
            connection?.[Symbol.dispose]();
            connection = await openConnection(storm.port);
          }
          const startedAt = performance.now();
          connection.write(bytes);
          const isHead = shot.request.method === "HEAD";
          const answer = await connection.read({ isHead, timeoutMs: storm.answerMs });
          storm.onOutcome({ ...shot, answer, tookMs: performance.now() - startedAt });
        }
      }
    } finally {
      connection?.[Symbol.dispose]();
    }
  }

  await Promise.all(Array.from({ length: storm.connections }, runLane));
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[Math.floor(index)];
  if (item === undefined) throw new Error(`nothing at ${index}`);
  return item;
}
