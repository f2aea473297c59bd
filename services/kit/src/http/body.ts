/** Reads request bodies within bounds of size, room and time, so that a refusal still reaches its sender. */
import type { IncomingMessage } from "node:http";
import { AppError } from "../errors.ts";

const EMPTY = Buffer.alloc(0);
/** After a refusal the rest of the body is read and thrown away, so that the sender sees the answer: at most this much. */
const DISCARD_BYTES_MAX = 32 * 1024 * 1024;
const DISCARD_MS_MAX = 5000;
/** Bytes a second, on average, that a body must bring once `RATE_GRACE_MS` are over. */
const RATE_BYTES_MIN = 1024;
/** ms before the rate of a body counts, and ms between two looks at it afterwards. */
const RATE_GRACE_MS = 2_000;
const RATE_CHECK_MS = 1_000;

/** Where the bytes of one body are counted. */
export type BodyRoom = {
  /** Takes room for more bytes, before they are kept. @throws AppError when there is none: the body is then refused with it */
  take(bytes: number): void;
  /** Set by `readBody` while the body arrives, undefined afterwards: refuses the body, so that its bytes can be freed. */
  refuse: ((error: AppError) => void) | undefined;
};

/** Bounds of one body. */
export type BodyOptions = {
  readonly bytesMax: number;
  /** ms in which the whole body must arrive. */
  readonly timeoutMs: number;
  /** Absent: the body is bounded by `bytesMax` alone. */
  readonly room?: BodyRoom | undefined;
};

/**
 * The whole body. Memory is taken as bytes arrive, never by the declared length.
 * @throws AppError `body_too_large` (http 413) as soon as it is known, by content-length or by count; `body_timeout` (http
 * 408) when it has not arrived in `timeoutMs`, or brings fewer than 1,024 bytes a second after the first 2 s; what
 * `room` throws; `body_aborted` (cancelled) when the connection closed first. Before the last, the answer can be sent at
 * once; what still comes in is thrown away, and too much or too long of it ends the connection.
 */
export async function readBody(req: IncomingMessage, options: BodyOptions): Promise<Buffer> {
  const declared = req.headers["content-length"];
  if (declared !== undefined && Number(declared) > options.bytesMax) {
    discard(req);
    throw tooLarge(options.bytesMax);
  }
  await undefined; // by then a body that came in one piece with the head is there
  if (req.destroyed && !req.readableEnded) throw aborted();
  if (req.readableLength === 0 || req.readableLength !== Number(declared)) {
    return awaitBody(req, options);
  }
  takeRoom(req, options.room, req.readableLength);
  const whole: Buffer = req.read();
  req.resume(); // on to the end, which holds nothing more
  return whole;
}

function takeRoom(req: IncomingMessage, room: BodyRoom | undefined, bytes: number): void {
  try {
    room?.take(bytes);
  } catch (thrown) {
    discard(req);
    throw thrown;
  }
}

/** Of a body that is still under way. */
function awaitBody(req: IncomingMessage, options: BodyOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { bytesMax, timeoutMs, room } = options;
    const startedMs = performance.now();
    const capacityMax = Math.min(bytesMax, Number(req.headers["content-length"] ?? bytesMax));
    let buffer: Buffer = EMPTY; // what arrived so far is its first `length` bytes
    let length = 0;
    let timer = setTimeout(checkProgress, Math.min(timeoutMs, RATE_GRACE_MS + RATE_CHECK_MS));
    if (room) room.refuse = refuse;
    req.on("data", onData);
    req.on("end", onEnd);
    req.on("close", onClose);
    req.on("error", onClose);

    function onData(chunk: Buffer): void {
      try {
        append(chunk);
      } catch (thrown) {
        refuse(AppError.from(thrown));
      }
    }

    /** Keeps one buffer that doubles, because a body may come in very many very small chunks. */
    function append(chunk: Buffer): void {
      const needed = length + chunk.length;
      if (needed > bytesMax) throw tooLarge(bytesMax);
      if (length === 0) {
        room?.take(chunk.length);
        buffer = chunk;
      } else {
        if (needed > buffer.length) grow(Math.min(capacityMax, needed * 2));
        buffer.set(chunk, length);
      }
      length = needed;
    }

    function grow(capacity: number): void {
      room?.take(capacity - buffer.length);
      const grown = Buffer.allocUnsafeSlow(capacity);
      grown.set(buffer.subarray(0, length));
      buffer = grown;
    }

    function onEnd(): void {
      release();
      resolve(buffer.subarray(0, length));
    }

    function onClose(): void {
      release();
      reject(aborted());
    }

    function checkProgress(): void {
      const elapsedMs = performance.now() - startedMs;
      const expected = ((elapsedMs - RATE_GRACE_MS) * RATE_BYTES_MIN) / 1000;
      if (elapsedMs >= timeoutMs || length < expected) refuse(late());
      else timer = setTimeout(checkProgress, Math.min(timeoutMs - elapsedMs, RATE_CHECK_MS));
    }

    function refuse(error: AppError): void {
      release();
      buffer = EMPTY;
      discard(req);
      reject(error);
    }

    function release(): void {
      if (room) room.refuse = undefined;
      clearTimeout(timer);
      req.off("data", onData);
      req.off("end", onEnd);
      req.off("close", onClose);
      req.off("error", onClose);
    }
  });
}

function aborted(): AppError {
  return new AppError("cancelled", "body_aborted", "The sender left before the body's end.");
}

function late(): AppError {
  const message = "The body did not arrive in time, or too slowly.";
  return new AppError("deadline_exceeded", "body_timeout", message, { http: 408 });
}

function tooLarge(bytesMax: number): AppError {
  const message = `The body is larger than ${bytesMax} bytes.`;
  return new AppError("invalid_argument", "body_too_large", message, { http: 413 });
}

function discard(req: IncomingMessage): void {
  let length = 0;
  const timer = setTimeout(() => req.socket.destroy(), DISCARD_MS_MAX);
  timer.unref();
  const release = () => clearTimeout(timer);
  req.on("error", release); // a listener must be there, or the abort of a discarded body would be thrown
  req.once("end", release);
  req.once("close", release);
  req.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > DISCARD_BYTES_MAX) req.socket.destroy();
  });
  req.resume();
}
