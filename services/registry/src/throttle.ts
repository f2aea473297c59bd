/** Slows down who guesses: counts failures per name in a window, in the memory of this process. */
import { AppError } from "@headgate/kit/errors";

/** Failures of one name; each replica counts for itself. */
export type Throttle = {
  /** @throws AppError resource_exhausted `too_many_failures` while a name has failed too often */
  check(name: string): void;
  /** Notes a failure. */
  fail(name: string): void;
  /** Forgets the failures of a name: it proved itself. */
  clear(name: string): void;
};

/** Failures a name may have in one window. */
const FAILURES_MAX = 10;
const WINDOW_MS = 60_000;
/** Names remembered; the oldest window is forgotten first. */
const NAMES_MAX = 10_000;

/** A throttle that reads the time from `now`, in ms. */
export function createThrottle(now: () => number = Date.now): Throttle {
  const windows = new Map<string, { endsAt: number; failures: number }>(); // oldest first
  return {
    check(name) {
      const window = live(name);
      if (!window || window.failures < FAILURES_MAX) return;
      throw new AppError(
        "resource_exhausted",
        "too_many_failures",
        "Too many failed log-ins; try again later.",
        { retryAfterMs: window.endsAt - now() },
      );
    },
    fail(name) {
      const window = live(name);
      if (window) {
        window.failures += 1;
        return;
      }
      windows.delete(name); // an ended window would keep its old place
      if (windows.size >= NAMES_MAX) windows.delete(windows.keys().next().value ?? "");
      windows.set(name, { endsAt: now() + WINDOW_MS, failures: 1 });
    },
    clear(name) {
      windows.delete(name);
    },
  };

  function live(name: string) {
    const window = windows.get(name);
    return window && window.endsAt > now() ? window : undefined;
  }
}
