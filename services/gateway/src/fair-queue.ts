/**
 * Takes work to Kafka in fair turns: while the window is full, what comes waits in a queue of its own hook, and the queues
 * are served round robin (deficit round robin, by the number of events). A hook with little to send is never behind the
 * backlog of another one.
 */

/** Runs tasks in turns. */
export type FairQueue = {
  /** Runs a task of so many events when it is its hook's turn: at once while the window has room and nothing waits. */
  run<T>(hook: string, events: number, task: () => Promise<T>): Promise<T>;
  /** Tasks that wait for their turn. */
  readonly queued: number;
};

/** Events that a hook may send in one round before the next hook has its turn. */
const QUANTUM = 8;

type Queue = { readonly tasks: Waiting[]; next: number; credit: number };
type Waiting = { readonly events: number; readonly start: () => void };

/** An empty queue. `window`: how many events may be under way now. */
export function createFairQueue({ window }: { window: () => number }): FairQueue {
  const queues = new Map<string, Queue>(); // in the order of their turns
  let underWay = 0;
  let queued = 0;

  return {
    run(hook, events, task) {
      if (queued === 0 && underWay < window()) return start(events, task);
      return new Promise((resolve, reject) => {
        enqueue(hook, { events, start: () => void start(events, task).then(resolve, reject) });
        serve();
      });
    },
    get queued() {
      return queued;
    },
  };

  function start<T>(events: number, task: () => Promise<T>): Promise<T> {
    underWay += events;
    return task().finally(() => {
      underWay -= events;
      if (queued > 0) serve();
    });
  }

  function enqueue(hook: string, waiting: Waiting): void {
    let queue = queues.get(hook);
    if (!queue) {
      queue = { tasks: [], next: 0, credit: QUANTUM };
      queues.set(hook, queue);
    }
    queue.tasks.push(waiting);
    queued += 1;
  }

  /** Starts what the window has room for; a hook whose credit is used up goes behind the others. */
  function serve(): void {
    while (queued > 0 && underWay < window()) {
      const [hook, queue] = queues.entries().next().value as [string, Queue]; // queued > 0: there is one
      const waiting = queue.tasks[queue.next] as Waiting; // a queue in the map is not empty
      if (queue.credit <= 0) {
        queue.credit += QUANTUM;
        queues.delete(hook);
        queues.set(hook, queue);
        continue;
      }
      queue.credit -= waiting.events;
      queue.next += 1;
      queued -= 1;
      if (queue.next === queue.tasks.length) queues.delete(hook);
      waiting.start();
    }
  }
}
