/** Shares the event loop among many small jobs, so that a thousand streams hold up no hook request. */

/** ms of one turn of the event loop that the jobs may take together. */
const TURN_MS = 5;

/** Runs jobs in turns. */
export type Turns = {
  /** Runs a job soon, once; planning it again before it ran changes nothing. It must not throw, and should take under 2 ms. */
  plan(job: () => void): void;
  /** Takes a planned job back. */
  cancel(job: () => void): void;
};

/** Nothing is planned yet. */
export function createTurns(): Turns {
  const planned = new Set<() => void>();
  let isRunning = false;

  return {
    plan(job) {
      planned.add(job);
      if (isRunning) return;
      isRunning = true;
      setImmediate(run);
    },
    cancel: (job) => void planned.delete(job),
  };

  function run(): void {
    const untilMs = performance.now() + TURN_MS;
    for (const job of planned) {
      planned.delete(job);
      job();
      if (performance.now() >= untilMs) break;
    }
    isRunning = planned.size > 0;
    if (isRunning) setImmediate(run);
  }
}
