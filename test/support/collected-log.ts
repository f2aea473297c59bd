/** A log whose lines a test can read. */
import { createLog, type Log } from "@headgate/kit/log";

/** Makes a log and the list that its lines, parsed, are added to. */
export function createCollectedLog(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ service: "test", write: (line) => lines.push(JSON.parse(line)) });
  return { log, lines };
}
