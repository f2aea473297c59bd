/**
 * When chat.posted.v1 is read: only while it is held, that is while a stream is open or a request waits until its message
 * is readable. Read all the time, it would cost a tenth of the capacity to accept events, here and at the broker.
 */
import type { Edges, Follower } from "@headgate/kit/kafka";

/** A request that the topic be read. */
export type Hold = {
  /** Resolves once nothing that is announced from then on can be missed; undefined: it is so already. Never rejects. */
  readonly live: Promise<void> | undefined;
  /** Ends the request. To be called once. */
  release(): void;
};

/** The tail. Disposing ends the reading. */
export type Tail = AsyncDisposable & {
  /** It reads, or it is not held. */
  readonly ready: boolean;
  hold(): Hold;
};

/** ms that reading goes on after the last release: a reader whose connection broke comes back and finds all in memory. */
const IDLE_MS = 60_000;

/** One stretch of reading. */
type Reading = {
  readonly opened: Promise<Follower>;
  readonly live: Promise<void>;
  /** Set once it is live. */
  follower?: Follower;
};

/**
 * Nothing is read yet.
 * @param options.follow starts reading from now on
 * @param options.onBegan told where reading begins, before the first records
 * @param options.onRecords takes what was read
 * @param options.onStopped what is announced after this may be missed
 */
export function createTail<Records>({
  follow,
  onBegan,
  onRecords,
  onStopped,
  idleMs = IDLE_MS,
}: {
  follow: (take: (records: Records) => void) => Promise<Follower>;
  onBegan: (edges: ReadonlyMap<number, Edges>) => void;
  onRecords: (records: Records) => void;
  onStopped: () => void;
  idleMs?: number;
}): Tail {
  let reading: Reading | undefined;
  let holds = 0;
  let idleSinceMs = 0;
  let timer: NodeJS.Timeout | undefined;

  return {
    get ready() {
      return reading === undefined || (reading.follower?.ready ?? false);
    },
    hold() {
      holds += 1;
      reading ??= start();
      return { live: reading.follower ? undefined : reading.live, release };
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      await stop();
    },
  };

  function start(): Reading {
    // What a reading brings after its end is left out: behind a gap, it would look as if nothing was missing.
    const opened = follow((records) => {
      if (reading === started) onRecords(records);
    });
    const live = opened.then(async (follower) => {
      const edges = await follower.began;
      if (reading === started) onBegan(edges);
      await follower.caughtUp;
      started.follower = follower;
    });
    const started: Reading = { opened, live };
    return started;
  }

  function release(): void {
    holds -= 1;
    if (holds > 0) return;
    idleSinceMs = performance.now();
    timer ??= setTimeout(onIdle, idleMs);
  }

  function onIdle(): void {
    timer = undefined;
    if (holds > 0) return;
    const leftMs = idleSinceMs + idleMs - performance.now();
    if (leftMs > 0) timer = setTimeout(onIdle, leftMs);
    else void stop();
  }

  async function stop(): Promise<void> {
    const stopped = reading;
    if (stopped === undefined) return;
    reading = undefined;
    onStopped();
    await (await stopped.opened)[Symbol.asyncDispose]();
  }
}
