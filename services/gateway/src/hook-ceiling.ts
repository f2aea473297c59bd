/**
 * The default ceiling: how many events a hook without limits of its own may send. It is kept in this process's memory and
 * costs no rpc; with several gateways each allows this much. A token bucket for each hook, in events.
 */
import { AppError } from "@headgate/kit/errors";

/** The ceilings of all hooks. */
export type HookCeiling = {
  /**
   * Takes events from the ceiling of a hook, as many as it has left.
   * @returns how many were taken, and ms until there is one more
   */
  take(hookId: string, events: number): { readonly granted: number; readonly retryAfterMs: number };
};

/** The bucket holds so many seconds of the rate: what a sender may send at once after a pause. */
const BURST_SECONDS = 10;
/** ms between two looks for hooks whose buckets are full again; those are forgotten. */
const SWEEP_MS = 10_000;

type Bucket = { events: number; atMs: number };

/** Makes the ceilings. `perMinute`: events a minute of each hook; 0 sets none. */
export function createHookCeiling({
  perMinute,
  now = () => performance.now(),
}: {
  perMinute: number;
  now?: () => number;
}): HookCeiling {
  const perMs = perMinute / 60_000;
  const burst = Math.max(1, perMs * 1000 * BURST_SECONDS);
  const buckets = new Map<string, Bucket>();
  let sweptMs = now();

  return {
    take(hookId, events) {
      if (perMinute === 0) return { granted: events, retryAfterMs: 0 };
      const nowMs = now();
      if (nowMs - sweptMs > SWEEP_MS) sweep(nowMs);
      const bucket = fill(hookId, nowMs);
      const granted = Math.min(events, Math.floor(bucket.events));
      bucket.events -= granted;
      return { granted, retryAfterMs: granted === events ? 0 : (1 - bucket.events) / perMs };
    },
  };

  function fill(hookId: string, nowMs: number): Bucket {
    let bucket = buckets.get(hookId);
    if (!bucket) {
      bucket = { events: burst, atMs: nowMs };
      buckets.set(hookId, bucket);
    }
    bucket.events = Math.min(burst, bucket.events + (nowMs - bucket.atMs) * perMs);
    bucket.atMs = nowMs;
    return bucket;
  }

  function sweep(nowMs: number): void {
    sweptMs = nowMs;
    for (const [hookId, { events, atMs }] of buckets) {
      if (events + (nowMs - atMs) * perMs >= burst) buckets.delete(hookId);
    }
  }
}

/** Reason of the refusal. */
export const CEILING_REASON = "hook_limited";

const refusals = new Map<number, AppError>();

/**
 * The refusal of a hook at its ceiling: resource_exhausted `hook_limited`, with the time to wait in whole seconds. Made
 * once for each number of seconds: an attack asks for it thousands of times a second, and a stack trace is not cheap.
 */
export function ceilingReached(retryAfterMs: number): AppError {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  let error = refusals.get(seconds);
  if (!error) {
    const message = "The limit of this hook is reached.";
    error = new AppError("resource_exhausted", CEILING_REASON, message, {
      retryAfterMs: seconds * 1000,
    });
    refusals.set(seconds, error);
  }
  return error;
}
