/**
 * How much the gateway takes on at once. A request that would wait too long for Kafka is refused at once instead: by
 * Little's law the wait is the number of waiting requests over the rate at which Kafka acknowledges them, so the bound on
 * the number follows the measured rate. Each hook has its share of that bound, and its requests go to Kafka in fair turns.
 */
import { AppError } from "@headgate/kit/errors";
import { createFairQueue } from "./fair-queue.ts";
import { createRefusals } from "./refusals.ts";

/** The bounds and what is held against them. */
export type Load = {
  /** Whether new requests are to be refused now, whatever their hook. */
  isFull(): boolean;
  /** Refuses a request of a hook that waits with its share already. @throws AppError unavailable `overloaded` */
  check(hook: string): void;
  /**
   * Publishes the events of a request in its hook's turn.
   * @throws AppError unavailable `overloaded`, and what `publish` throws
   */
  run(hook: string, events: number, publish: () => Promise<void>): Promise<void>;
  /** Resolves when a refusal of a sender may be answered: at least 100 ms later, and a bounded number of them in any time. */
  pause(sender: string): Promise<void>;
  /** Requests that wait for Kafka. */
  readonly waiting: number;
  /** Requests that may wait now. */
  readonly limit: number;
};

/** The wait for Kafka that is let build up, in ms. */
const WAIT_MS = 50;
/** Requests that may wait whatever the rate: a short pause of Kafka at low rates refuses no request. */
const WAITING_MIN = 512;
/** Requests of one hook that may wait whatever the others have waiting. */
const HOOK_WAITING_MIN = 16;
/**
 * Events that may wait, of one hook and of all: a waiting event takes about 1 KiB besides the body that it came in. A
 * request of a hook with nothing waiting is always within the first. All together fit into the producer's buffer (50,000).
 */
const HOOK_EVENTS_MAX = 16_384;
const EVENTS_MAX = 49_152;
/** Share of the bound that one hook may have while others send, too. */
const HOOK_SHARE = 1 / 2;
/** Factor of the bound up to which hooks below their own share are still taken on. */
const SLACK = 2;
/** ms over which the rate is measured, and after which a hook that sends nothing counts no more. */
const WINDOW_MS = 250;
const ACTIVE_MS = 2_000;
/** Events under way to Kafka at once while several hooks send. */
const EVENTS_UNDER_WAY_MIN = 128;

type HookLoad = { waiting: number; events: number; seenMs: number };

/** Makes the bounds. */
export function createLoad({ now = () => performance.now() }: { now?: () => number } = {}): Load {
  const hooks = new Map<string, HookLoad>();
  const queue = createFairQueue({ window: eventsUnderWayMax });
  const refusals = createRefusals();
  let waiting = 0;
  let eventsWaiting = 0;
  let kept = 0;
  let windowAt = now();
  let perMs = 0;
  let limit = WAITING_MIN;

  return {
    isFull: () => waiting >= limit * SLACK,
    check(hook) {
      if (isOver(hooks.get(hook)?.waiting ?? 0)) throw overloaded();
    },
    async run(hook, events, publish) {
      const own = touch(hook);
      if (isOver(own.waiting) || areTooMany(own, events)) throw overloaded();
      own.waiting += 1;
      own.events += events;
      waiting += 1;
      eventsWaiting += events;
      try {
        await queue.run(hook, events, publish);
        kept += 1;
      } finally {
        own.waiting -= 1;
        own.events -= events;
        waiting -= 1;
        eventsWaiting -= events;
        measure();
      }
    },
    pause: refusals.pause,
    get waiting() {
      return waiting;
    },
    get limit() {
      return limit;
    },
  };

  /** Whether a hook with so many waiting requests must wait until fewer wait. */
  function isOver(own: number): boolean {
    if (waiting >= limit * SLACK) return true;
    if (hooks.size < 2) return own >= limit;
    if (own >= limit * HOOK_SHARE) return true;
    return waiting >= limit && own >= Math.max(HOOK_WAITING_MIN, limit / hooks.size);
  }

  function areTooMany(own: HookLoad, events: number): boolean {
    if (eventsWaiting + events > EVENTS_MAX) return true;
    return own.waiting > 0 && own.events + events > HOOK_EVENTS_MAX;
  }

  function eventsUnderWayMax(): number {
    return hooks.size < 2 ? Number.POSITIVE_INFINITY : EVENTS_UNDER_WAY_MIN;
  }

  function touch(hook: string): HookLoad {
    let own = hooks.get(hook);
    if (!own) {
      own = { waiting: 0, events: 0, seenMs: 0 };
      hooks.set(hook, own);
    }
    own.seenMs = now();
    return own;
  }

  function measure(): void {
    const nowMs = now();
    const spentMs = nowMs - windowAt;
    if (spentMs < WINDOW_MS) return;
    perMs = perMs / 2 + kept / spentMs / 2;
    limit = Math.max(WAITING_MIN, Math.ceil(perMs * WAIT_MS));
    kept = 0;
    windowAt += spentMs;
    for (const [name, { waiting: own, seenMs }] of hooks) {
      if (own === 0 && nowMs - seenMs > ACTIVE_MS) hooks.delete(name);
    }
  }
}

/**
 * The answer to a request that is not taken on. Made once: under overload this is the commonest answer, and the stack
 * trace of a new error each time would cost as much as the answer itself.
 */
const OVERLOADED = new AppError(
  "unavailable",
  "overloaded",
  "Too many requests are waiting. Try again soon.",
  { retryAfterMs: 1000 },
);

/** The refusal for load. */
export function overloaded(): AppError {
  return OVERLOADED;
}
