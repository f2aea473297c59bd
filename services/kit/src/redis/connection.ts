/**
 * Keeps one connection to Redis: opens it, watches it, drops it when it hangs, opens the next. The library's own
 * reconnecting is off, because it waits without a limit for a server that takes connections and says nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { type Backoff, delayMs } from "../backoff.ts";
import type { Log } from "../log.ts";

/** Ms that connecting, with all its handshake, may take. */
const CONNECT_MS = 1_000;
/** Waits between tries to connect. */
const BACKOFF: Backoff = { firstMs: 50, mostMs: 1_000 };
/** Commands that wait for a reply or for the socket, at most; more fail at once. */
const QUEUE_MAX = 20_000;

/** The library's client, as this door uses it. */
export type Client = ReturnType<typeof makeClient>;

/** The one connection. */
export type Connection = {
  /** The client to send by; undefined while there is none that answers. */
  current(): Client | undefined;
  /** Says that a client was late: nothing more is sent by it until it has answered a probe, and it ends if it does not. */
  suspect(client: Client): void;
  /** Resolves when the first try to connect is over, well or not. */
  readonly firstTry: Promise<void>;
  /** Ends the connection and all tries. */
  close(): Promise<void>;
};

/** Opens the connection and keeps it. `timeoutMs` is what a probe may take. */
export function openConnection(options: { url: string; timeoutMs: number; log: Log }): Connection {
  const { url, timeoutMs, log } = options;
  const closing = new AbortController();
  const first = Promise.withResolvers<void>();
  let held: { client: Client; isSuspect: boolean; lose: (error: unknown) => void } | undefined;
  const loop = run();

  return {
    current: () => (held?.isSuspect ? undefined : held?.client),
    suspect,
    firstTry: first.promise,
    async close() {
      closing.abort();
      held?.lose(undefined);
      await loop;
    },
  };

  async function run(): Promise<void> {
    for (let failures = 0; !closing.signal.aborted; failures += 1) {
      const { connected, error } = await hold();
      if (closing.signal.aborted) return;
      if (connected) failures = 0;
      if (connected) log.warn("redis.connection_lost", { error });
      else if (failures === 0) log.warn("redis.unavailable", { error });
      const waitMs = delayMs(BACKOFF, failures + 1);
      await sleep(waitMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  /** Connects and stays until the connection is lost; tells why, and whether there was one at all. */
  async function hold(): Promise<{ connected: boolean; error: unknown }> {
    const client = makeClient(url);
    const lost = Promise.withResolvers<unknown>();
    // Without a listener an error of the connection would end the process.
    client.on("error", lost.resolve);
    client.on("end", lost.resolve);
    try {
      // A frozen server's kernel takes connections: only an answer tells that it is there.
      await within(
        CONNECT_MS,
        client.connect().then(() => client.sendCommand(["PING"])),
      );
      held = { client, isSuspect: false, lose: lost.resolve };
      first.resolve();
      log.info("redis.connected");
      return { connected: true, error: await lost.promise };
    } catch (error) {
      return { connected: false, error };
    } finally {
      held = undefined;
      first.resolve();
      destroy(client);
    }
  }

  function suspect(client: Client): void {
    const probed = held;
    if (probed?.client !== client || probed.isSuspect) return;
    probed.isSuspect = true;
    within(timeoutMs, client.sendCommand(["PING"])).then(() => {
      probed.isSuspect = false;
    }, probed.lose);
  }
}

function makeClient(url: string) {
  return createClient({
    url,
    RESP: 2,
    disableOfflineQueue: true,
    commandsQueueMaxLength: QUEUE_MAX,
    disableClientInfo: true,
    commandOptions: { timeout: 0 }, // the door has its own; the library's costs an AbortSignal per command
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
  });
}

function destroy(client: Client): void {
  try {
    client.destroy();
  } catch {
    // it was closed already
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => setImmediate(reject, new Error("no answer in time")), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
