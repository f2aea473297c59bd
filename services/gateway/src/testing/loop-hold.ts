/** For tests: how long a piece of work holds the event loop, next to what this machine needs to parse JSON. */

/** Tries of which the best counts, because other processes may take the CPU at any moment. */
const TRIES = 9;

/** The longest time, in ms, that the event loop stood still while `work` ran: the best of nine runs. */
export async function measureHold(work: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let at = 0; at < TRIES; at++) best = Math.min(best, await holdOf(work));
  return best;
}

async function holdOf(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let lastMs = performance.now();
  let isOver = false;
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - lastMs);
    lastMs = now;
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  await work();
  isOver = true;
  return longest;
}

/** ms in which this machine parses an object of 1 MiB with 94,000 members: the best of nine. 20 to 50 on usual ones. */
export function measureParse(): number {
  const members = Array.from({ length: 94_000 }, (_, at) => `"${at.toString(36)}":1`);
  const text = `{${members.join(",")}}`;
  let best = Number.POSITIVE_INFINITY;
  for (let at = 0; at < TRIES; at++) {
    const startedMs = performance.now();
    JSON.parse(text);
    best = Math.min(best, performance.now() - startedMs);
  }
  return best;
}
