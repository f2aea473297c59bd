/** Requests that wait until their messages can be read: `?wait=readable`. */
import { AppError } from "@headgate/kit/errors";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Hold } from "./tail.ts";

/** Requests that may wait at once; for more the wait is over at once. */
const WAITING_MAX = 10_000;
/** Shares of a wait after which chat itself is asked, in case the reading of its announcements is behind. */
const ASK_AT = [0.4, 0.85];

type Waiter = {
  readonly missing: Set<string>;
  readonly found: Map<string, Message>;
  readonly finish: () => void;
};

/** The waiting requests. */
export type Waits = ReturnType<typeof createWaits>;

/**
 * No request waits yet.
 * @param options.find the message of an id, where its announcement is kept
 * @param options.getMessages asks chat. Throws AppError unavailable
 */
export function createWaits({
  find,
  getMessages,
  hold,
}: {
  find: (id: string) => Message | undefined;
  getMessages: (ids: readonly string[]) => Promise<readonly Message[]>;
  hold: () => Hold;
}) {
  const waiters = new Map<string, Set<Waiter>>();
  let waiting = 0;

  return {
    /** Whether a request waits for a message. */
    has: (id: string) => waiters.has(id),
    /** Ends the waits for a message. */
    give(message: Message): void {
      for (const waiter of waiters.get(message.id) ?? []) give(waiter, message);
    },
    /** The messages of these ids, in their order, once all are readable; undefined when the deadline passes first. */
    async awaitReadable(
      ids: readonly string[],
      deadlineMs: number,
    ): Promise<readonly Message[] | undefined> {
      const found = new Map<string, Message>();
      const missing = new Set<string>();
      for (const id of ids) {
        const seen = find(id);
        if (seen) found.set(id, seen);
        else missing.add(id);
      }
      if (missing.size > 0) {
        if (waiting >= WAITING_MAX) return undefined;
        await wait(missing, found, deadlineMs);
      }
      if (missing.size > 0) return undefined;
      return ids.flatMap((id) => found.get(id) ?? []);
    },
  };

  async function wait(
    missing: Set<string>,
    found: Map<string, Message>,
    deadlineMs: number,
  ): Promise<void> {
    waiting += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { missing, found, finish: resolve };
    const asked = [...missing];
    for (const id of asked) {
      const set = waiters.get(id);
      if (set) set.add(waiter);
      else waiters.set(id, new Set([waiter]));
    }
    const { live, release } = hold();
    // What was announced before the reading was live is not in it.
    void live?.then(() => ask(waiter));
    const timers = ASK_AT.map((share) => setTimeout(() => void ask(waiter), deadlineMs * share));
    timers.push(setTimeout(resolve, deadlineMs));
    await promise;
    release();
    waiting -= 1;
    for (const timer of timers) clearTimeout(timer);
    for (const id of asked) {
      const set = waiters.get(id);
      set?.delete(waiter);
      if (set?.size === 0) waiters.delete(id);
    }
  }

  async function ask(waiter: Waiter): Promise<void> {
    if (waiter.missing.size === 0) return;
    try {
      for (const message of await getMessages([...waiter.missing])) give(waiter, message);
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown; // chat does not answer: the wait runs out
    }
  }
}

function give(waiter: Waiter, message: Message): void {
  if (!waiter.missing.delete(message.id)) return;
  waiter.found.set(message.id, message);
  if (waiter.missing.size === 0) waiter.finish();
}
