/**
 * The pace of refusals under overload. Senders that come again at once would otherwise take, with their refusals, the time
 * that accepted requests need; and refusals that are all answered in one turn of the event loop would hold it.
 */

/** ms that a refused request waits for its answer at least, and at most. */
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 1_000;
/** ms between two turns, and refusals answered in one: 2,000 a second. */
const TURN_MS = 5;
const PER_TURN = 10;

/** Refusals of one sender that wait only for the 100 ms, never behind those of others. */
const FEW = 8;

/** Paces refusals. */
export function createRefusals() {
  const waiting: { readonly since: number; readonly resolve: () => void }[] = [];
  const counts = new Map<string, number>();
  let next = 0; // index of the first that still waits
  let isRunning = false;

  return {
    /**
     * Resolves when a refusal of a sender (a hook, or a client address) may be answered: after 100 ms; where many of the
     * same sender wait, in the order of the calls, at most 1 s after its own.
     */
    async pause(sender: string): Promise<void> {
      const count = (counts.get(sender) ?? 0) + 1;
      counts.set(sender, count);
      await (count <= FEW ? sleep(PAUSE_MS) : queue());
      const left = (counts.get(sender) ?? 1) - 1;
      if (left === 0) counts.delete(sender);
      else counts.set(sender, left);
    },
  };

  function queue(): Promise<void> {
    return new Promise((resolve) => {
      waiting.push({ since: performance.now(), resolve });
      if (!isRunning) setTimeout(turn, PAUSE_MS);
      isRunning = true;
    });
  }

  function turn(): void {
    const now = performance.now();
    for (let count = 0; next < waiting.length; count++) {
      const first = waiting[next];
      const ageMs = now - (first?.since ?? 0);
      if (ageMs < PAUSE_MS || (count >= PER_TURN && ageMs < PAUSE_MS_MAX)) break;
      first?.resolve();
      next += 1;
    }
    if (next > 1_000 || next === waiting.length) {
      waiting.splice(0, next);
      next = 0;
    }
    isRunning = waiting.length > 0;
    if (isRunning) setTimeout(turn, TURN_MS);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
