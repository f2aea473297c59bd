/**
 * Takes work to Kafka in fair turns: while the window is full, what comes waits in a queue of its own hook, and the queues
 * are served round robin (deficit round robin, by the number of events). A hook may fill at most half of the window, and
 * one with few events under way starts at once: it is never behind the backlog of another hook.
 */

/** Runs tasks in turns. */
export type FairQueue = {
  /** Runs a task of so many events when it is its hook's turn: at once while the hook and the window have room. */
  run<T>(hook: string, events: number, task: () => Promise<T>): Promise<T>;
  /** Tasks that wait for their turn. */
  readonly queued: number;
};

/** Events that a hook may send in one round before the next hook has its turn, and have under way whatever the window. */
const QUANTUM = 8;
/** Share of the window that one hook may fill. */
const HOOK_SHARE = 1 / 2;

type Hook = { underWay: number; tasks: Waiting[]; next: number; credit: number };
type Waiting = { readonly events: number; readonly start: () => void };

/** An empty queue. `window`: how many events may be under way now. */
export function createFairQueue({ window }: { window: () => number }): FairQueue {
  const hooks = new Map<string, Hook>(); // with something under way or waiting
  const turns = new Set<Hook>(); // with something waiting, in the order of their turns
  let underWay = 0;
  let queued = 0;

  return {
    run(name, events, task) {
      const hook = hooks.get(name) ?? { underWay: 0, tasks: [], next: 0, credit: QUANTUM };
      hooks.set(name, hook);
      if (!turns.has(hook) && mayStart(hook)) return start(name, hook, events, task);
      return new Promise((resolve, reject) => {
        const begin = () => void start(name, hook, events, task).then(resolve, reject);
        hook.tasks.push({ events, start: begin });
        turns.add(hook);
        queued += 1;
      });
    },
    get queued() {
      return queued;
    },
  };

  function mayStart(hook: Hook): boolean {
    if (hook.underWay < QUANTUM) return true;
    const most = window();
    return underWay < most && hook.underWay < most * HOOK_SHARE;
  }

  async function start<T>(
    name: string,
    hook: Hook,
    events: number,
    task: () => Promise<T>,
  ): Promise<T> {
    hook.underWay += events;
    underWay += events;
    try {
      return await task();
    } finally {
      hook.underWay -= events;
      underWay -= events;
      if (queued > 0) serve(hook);
      if (hook.underWay === 0 && !turns.has(hook)) hooks.delete(name);
    }
  }

  /** Starts what there is room for: of the hook that has just ended a task, then of all by turns. */
  function serve(ended: Hook): void {
    while (turns.has(ended) && ended.underWay < QUANTUM) startNext(ended);
    for (let left = turns.size; left > 0 && underWay < window(); left--) {
      const hook = turns.values().next().value as Hook; // left > 0: there is one
      turns.delete(hook);
      turns.add(hook); // behind the others
      hook.credit = Math.min(QUANTUM, hook.credit + QUANTUM);
      while (turns.has(hook) && hook.credit > 0 && mayStart(hook)) {
        startNext(hook);
        left = turns.size + 1;
      }
    }
  }

  function startNext(hook: Hook): void {
    const waiting = hook.tasks[hook.next] as Waiting; // a hook in `turns` has one
    hook.next += 1;
    queued -= 1;
    hook.credit -= waiting.events;
    if (hook.next === hook.tasks.length) {
      hook.tasks = [];
      hook.next = 0;
      turns.delete(hook);
    }
    waiting.start();
  }
}
