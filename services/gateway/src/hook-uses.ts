/** Remembers which hooks were used and tells the registry every few seconds, in batches. Late and lossy by design. */
import type { Log } from "@headgate/kit/log";

/** The memory; disposing tells once more. */
export type HookUses = AsyncDisposable & { touch(hookId: string): void };

const EVERY_MS = 5_000;
/** Hooks per call, the rpc's own bound. */
const CALL_MAX = 1_000;
/** Hooks remembered; more are forgotten, for this is for people, not for rules. */
const USES_MAX = 50_000;

/** Opens the memory. `tell` may fail: what it was given is forgotten then. */
export function openHookUses({
  tell,
  log,
}: {
  tell: (uses: readonly { hookId: string; usedMs: number }[]) => Promise<void>;
  log: Log;
}): HookUses {
  let uses = new Map<string, number>();
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(flush);
  }, EVERY_MS);
  timer.unref();

  return {
    touch(hookId) {
      if (uses.size < USES_MAX || uses.has(hookId)) uses.set(hookId, Date.now());
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
      await flush();
    },
  };

  async function flush(): Promise<void> {
    const list = [...uses].map(([hookId, usedMs]) => ({ hookId, usedMs }));
    uses = new Map();
    try {
      for (let at = 0; at < list.length; at += CALL_MAX) await tell(list.slice(at, at + CALL_MAX));
    } catch (error) {
      log.debug("hook uses could not be told", { error });
    }
  }
}
