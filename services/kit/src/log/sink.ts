/**
 * Where log lines go: stdout, gathered and written off the main thread, one write at a time. A reader that stalls costs
 * lines, which are counted, never a wait.
 */
import { write, writeSync } from "node:fs";

const STDOUT = 1;
/** UTF-16 units that may wait; what comes beyond is dropped until there is room again. */
const WAITING_LENGTH_MAX = 4 * 1024 * 1024;
const GATHER_MS = 5;
/** A pipe that is full and does not block is asked again after this long. */
const FULL_PIPE_MS = 20;
/** At the end of the process a stalled reader is waited for this long in all. */
const LAST_WRITE_MS = 500;

let waiting: string[] = [];
let waitingLength = 0;
let rest: Buffer | undefined; // what the current write has not written yet
let busy = false;
let dropped = 0;
let flushesAtExit = false;

/** Queues one line (without its newline) for stdout. */
export function writeLine(line: string): void {
  if (waitingLength + line.length > WAITING_LENGTH_MAX) {
    dropped++;
    return;
  }
  waiting.push(line);
  waitingLength += line.length + 1;
  if (busy) return;
  busy = true;
  setTimeout(writeNext, GATHER_MS);
  if (!flushesAtExit) process.once("exit", flushLines);
  flushesAtExit = true;
}

/** How many lines were given up since the process began, because the reader of stdout was too slow. */
export function droppedLines(): number {
  return dropped;
}

/** Writes what waits, at once and blocking, at most half a second: for the last breath of a process. */
export function flushLines(): void {
  const giveUpAt = Date.now() + LAST_WRITE_MS;
  let left = Buffer.concat([rest ?? Buffer.alloc(0), takeWaiting() ?? Buffer.alloc(0)]);
  rest = undefined;
  while (left.length > 0 && Date.now() < giveUpAt) {
    try {
      left = left.subarray(writeSync(STDOUT, left));
    } catch (thrown) {
      if (!isFull(thrown)) return; // nobody reads any more
    }
  }
}

function writeNext(): void {
  rest ??= takeWaiting();
  if (!rest) {
    busy = false;
    return;
  }
  const sent = rest;
  write(STDOUT, sent, (error, count) => {
    if (rest !== sent) return; // flushed meanwhile
    if (error) {
      if (isFull(error)) {
        setTimeout(writeNext, FULL_PIPE_MS);
        return;
      }
      rest = undefined; // the reader is gone: the lines are lost, the service goes on
    } else {
      rest = count < sent.length ? sent.subarray(count) : undefined;
    }
    writeNext();
  });
}

function takeWaiting(): Buffer | undefined {
  if (waiting.length === 0) return undefined;
  const bytes = Buffer.from(`${waiting.join("\n")}\n`);
  waiting = [];
  waitingLength = 0;
  return bytes;
}

function isFull(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "EAGAIN";
}
