/** Reads request bodies within bounds of size and time, so that a refusal still reaches its sender. */
import type { IncomingMessage } from "node:http";
import { AppError } from "../errors.ts";

const EMPTY = Buffer.alloc(0);
/** After a refusal the rest of the body is read and thrown away, so that the sender sees the answer: at most this much. */
const DISCARD_BYTES_MAX = 32 * 1024 * 1024;
const DISCARD_MS_MAX = 5000;

/**
 * The whole body.
 * @throws AppError `body_too_large` (http 413) as soon as it is known, by content-length or by count; `body_timeout` (http
 * 408) when it has not arrived in `timeoutMs`; `body_aborted` (cancelled) when the sender left. After the first two the
 * answer can be sent at once; what still comes in is thrown away, and too much or too long of it ends the connection.
 */
export async function readBody(
  req: IncomingMessage,
  options: { bytesMax: number; timeoutMs: number },
): Promise<Buffer> {
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
  const whole: Buffer = req.read();
  req.resume(); // on to the end, which holds nothing more
  return whole;
}

/** Of a body that is still under way. */
function awaitBody(
  req: IncomingMessage,
  options: { bytesMax: number; timeoutMs: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let more: Buffer[] | undefined; // all chunks, once there are two
    let length = 0;
    const timer = setTimeout(onLate, options.timeoutMs);
    req.on("data", onData);
    req.on("end", onEnd);
    req.on("close", onClose);
    req.on("error", onClose);

    function onData(chunk: Buffer): void {
      length += chunk.length;
      if (length > options.bytesMax) refuse(tooLarge(options.bytesMax));
      else if (first === undefined) first = chunk;
      else if (more === undefined) more = [first, chunk];
      else more.push(chunk);
    }

    function onEnd(): void {
      release();
      resolve(more === undefined ? (first ?? EMPTY) : Buffer.concat(more, length));
    }

    function onClose(): void {
      release();
      reject(aborted());
    }

    function onLate(): void {
      const message = `The body did not arrive within ${options.timeoutMs} ms.`;
      refuse(new AppError("deadline_exceeded", "body_timeout", message, { http: 408 }));
    }

    function refuse(error: AppError): void {
      release();
      discard(req);
      reject(error);
    }

    function release(): void {
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
