/** Writes server-sent events to one reader, and bounds what waits for slow readers: for each, and for all together. */
import type { ServerResponse } from "node:http";

/** Bytes that may wait for one reader before no more events are written to it. */
const WAITING_BYTES_MAX = 256 * 1024;
/** ms without progress after which a reader whose buffer is not empty is disconnected; the same while memory is short. */
const STALL_MS = 60_000;
const STALL_SHORT_MS = 10_000;
/** ms after which a reader whose stream ended comes back. */
const RETRY_MS = 2_000;

/**
 * What waits for all readers of the process. Readers that have taken all that was written to them may fill it; those for
 * whom something waits already, half of it: so slow readers leave room for the others.
 */
export type StreamBuffers = ReturnType<typeof createStreamBuffers>;

/** Nothing waits yet. */
export function createStreamBuffers(bytesMax: number) {
  const sharedMax = bytesMax / 2;
  const waiting = new Set<() => void>();
  let bytes = 0;
  return {
    get isShort() {
      return bytes >= sharedMax;
    },
    /** Whether a reader for whom `own` bytes wait may be written to; where not, `onRoom` is called once it may. */
    hasRoom(own: number, onRoom: () => void): boolean {
      if (bytes < (own === 0 ? bytesMax : sharedMax)) return true;
      waiting.add(onRoom);
      return false;
    },
    change(by: number): void {
      const before = bytes;
      bytes += by;
      const hasFallen = (bound: number) => before >= bound && bytes < bound;
      if (!hasFallen(bytesMax) && !hasFallen(sharedMax)) return;
      const woken = [...waiting];
      waiting.clear();
      for (const wake of woken) wake();
    },
    forget: (onRoom: () => void) => void waiting.delete(onRoom),
  };
}

/** The writer of one response. */
export type EventWriter = {
  /** The response has ended or broken. */
  readonly isOver: boolean;
  /** Whether another event may be written now; where not, `onRoom` is called once it may be. */
  hasRoom(): boolean;
  /** `data`: JSON. An `id` of undefined names no place. */
  write(event: string, id: string | undefined, data: string): void;
  /** Keeps the connection open, and names the place that the reader has come to. */
  beat(id: string): void;
  end(): void;
};

/** Begins the response. `onRoom` is called when there may be room again. */
export function openEventWriter({
  res,
  buffers,
  onRoom,
  stallMs = STALL_MS,
}: {
  res: ServerResponse;
  buffers: StreamBuffers;
  onRoom: () => void;
  stallMs?: number | undefined;
}): EventWriter {
  let counted = 0;
  let progressMs = performance.now();

  beginEvents(res).write(`retry: ${RETRY_MS}\n\n`);
  res.on("drain", () => {
    count();
    onRoom();
  });
  res.once("close", () => {
    buffers.forget(onRoom);
    buffers.change(-counted);
    counted = 0;
  });

  return {
    get isOver() {
      return res.writableEnded || res.destroyed;
    },
    hasRoom() {
      count();
      return counted < WAITING_BYTES_MAX && buffers.hasRoom(counted, onRoom); // a full one is drained some time
    },
    write(event, id, data) {
      send(`event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${data}\n\n`);
    },
    beat(id) {
      count();
      if (counted === 0) send(`: heartbeat\nid: ${id}\n\n`);
      const mostMs = buffers.isShort ? Math.min(stallMs, STALL_SHORT_MS) : stallMs;
      if (performance.now() - progressMs > mostMs) res.destroy(); // it comes back with Last-Event-ID
    },
    end() {
      res.end();
    },
  };

  function send(text: string): void {
    if (res.writableEnded || res.destroyed) return;
    res.write(text);
    count();
  }

  function count(): void {
    const waiting = res.destroyed ? 0 : res.writableLength;
    if (waiting < counted || waiting === 0) progressMs = performance.now();
    const by = waiting - counted;
    counted = waiting;
    if (by !== 0) buffers.change(by);
  }
}

/** Writes the head of a stream. */
export function beginEvents(res: ServerResponse): ServerResponse {
  res.statusCode = 200;
  res.setHeader("Content-Type", "text/event-stream");
  res.setHeader("Cache-Control", "no-store");
  res.setHeader("X-Content-Type-Options", "nosniff");
  res.setHeader("X-Accel-Buffering", "no"); // or proxies gather events before they pass them on
  res.flushHeaders();
  return res;
}
