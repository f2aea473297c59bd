/**
 * When chat.posted.v1 is read: only while somebody wants it, that is while a stream is open or a request waits until its
 * message is readable. Read for nobody, it would cost a tenth of the way in, here and at the broker.
 */
import type { Follower } from "@headgate/kit/kafka";

/** Somebody's want. */
export type Hold = {
  /** Resolves once nothing that is announced from then on can be missed; undefined: it is so already. Never rejects. */
  readonly live: Promise<void> | undefined;
  /** Wants no more. To be called once. */
  release(): void;
};

/** The tail. Disposing ends the reading. */
export type Tail = AsyncDisposable & {
  /** It reads, or nobody wants it to. */
  readonly ready: boolean;
  hold(): Hold;
};

/** ms that reading goes on for nobody: readers whose connection broke come back within, and miss nothing. */
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
 * @param options.onRecords takes what was read
 * @param options.onStopped what is announced after this may be missed
 */
export function createTail<Records>({
  follow,
  onRecords,
  onStopped,
  idleMs = IDLE_MS,
}: {
  follow: (take: (records: Records) => void) => Promise<Follower>;
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
