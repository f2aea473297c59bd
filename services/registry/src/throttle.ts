/**
 * Slows down guessing of passwords: counts failures of a name, from one client address and from all, in a window, in the
 * memory of this process. One address closes a name for itself only; the bound of the name itself is ten times as high.
 */
import { AppError } from "@headgate/kit/errors";

/** A name that logs in, and the client address it does so from; empty: not known. */
export type Attempt = { readonly name: string; readonly source: string };

/** Failures of log-ins; each replica counts for itself. */
export type Throttle = {
  /** @throws AppError resource_exhausted `too_many_failures` while there were too many failures */
  check(attempt: Attempt): void;
  /** Notes a failure. */
  fail(attempt: Attempt): void;
  /** Forgets the failures from an address: it proved itself. Those from others stay. */
  clear(attempt: Attempt): void;
};

/** Failures of a name in one window: from one client address, and from all together. */
const FROM_ONE_MAX = 10;
const FROM_ALL_MAX = 100;
const WINDOW_MS = 60_000;
/** Counters of each kind that are kept; the oldest window is forgotten first. */
const COUNTERS_MAX = 10_000;

/** A throttle that reads the time from `now`, in ms of a clock that never steps. */
export function createThrottle(now: () => number = () => performance.now()): Throttle {
  const ofPair = createCounters(now);
  const ofName = createCounters(now);
  return {
    check({ name, source }) {
      const waitMs = Math.max(
        ofPair.waitMs(pairOf(name, source), FROM_ONE_MAX),
        ofName.waitMs(name, FROM_ALL_MAX),
      );
      if (waitMs === 0) return;
      const message = "Too many failed log-ins; try again later.";
      throw new AppError("resource_exhausted", "too_many_failures", message, {
        retryAfterMs: waitMs,
      });
    },
    fail({ name, source }) {
      ofPair.add(pairOf(name, source));
      ofName.add(name);
    },
    clear({ name, source }) {
      ofPair.forget(pairOf(name, source));
    },
  };
}

function pairOf(name: string, source: string): string {
  return JSON.stringify([name, source]);
}

function createCounters(now: () => number) {
  const windows = new Map<string, { endsAt: number; count: number }>(); // oldest first
  return {
    /** ms until a key may go on; 0: now. */
    waitMs(key: string, max: number): number {
      const window = live(key);
      return window && window.count >= max ? window.endsAt - now() : 0;
    },
    add(key: string): void {
      const window = live(key);
      if (window) {
        window.count += 1;
        return;
      }
      windows.delete(key); // an ended window would keep its old place
      if (windows.size >= COUNTERS_MAX) windows.delete(windows.keys().next().value ?? "");
      windows.set(key, { endsAt: now() + WINDOW_MS, count: 1 });
    },
    forget: (key: string) => void windows.delete(key),
  };

  function live(key: string) {
    const window = windows.get(key);
    return window && window.endsAt > now() ? window : undefined;
  }
}
