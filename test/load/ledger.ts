/**
 * The books of a faulty run: what was sent, what was answered, what is readable; and the verdict whether the promises
 * were kept. Pure, so that its own judgement can be tested.
 */

/** The fate of one marked event, as its sender saw it. */
export type Fate =
  /** 2xx: must be readable exactly once. */
  | "accepted"
  /** A refusal that says nothing was kept: must not be readable. */
  | "refused"
  /** Sent, but the answer was lost, or the log's own answer was: may be readable, once at most. */
  | "unknown"
  /** Never left the sender. */
  | "unsent";

/** One event of the run. */
export type Entry = {
  readonly mark: string;
  readonly channelId: string;
  fate: Fate;
  /** Status of the last answer; 0 for none. */
  status: number;
  /** When it was accepted, in ms of performance.now(); undefined: it was not. */
  acceptedAt?: number;
  /** Sent with an idempotency key until accepted. */
  readonly keyed: boolean;
};

/** What the run came to. */
export type Verdict = {
  sent: number;
  accepted: number;
  refusedByStatus: Record<string, number>;
  unknown: number;
  unknownReadable: number;
  unsent: number;
  readable: number;
  /** Marks accepted but not readable. */
  lost: string[];
  /** Marks readable more than once. */
  doubled: string[];
  /** Marks readable though refused or unsent. */
  ghosts: string[];
};

/** Compares the sender's books with what readers see: the marks of each channel, in reading order. */
export function judge(entries: readonly Entry[], readable: readonly string[]): Verdict {
  const seen = new Map<string, number>();
  for (const mark of readable) seen.set(mark, (seen.get(mark) ?? 0) + 1);
  const verdict: Verdict = {
    sent: 0,
    accepted: 0,
    refusedByStatus: {},
    unknown: 0,
    unknownReadable: 0,
    unsent: 0,
    readable: readable.length,
    lost: [],
    doubled: [...seen].filter(([, times]) => times > 1).map(([mark]) => mark),
    ghosts: [],
  };
  for (const entry of entries) {
    const times = seen.get(entry.mark) ?? 0;
    if (entry.fate === "unsent") verdict.unsent++;
    else verdict.sent++;
    if (entry.fate === "accepted") {
      verdict.accepted++;
      if (times === 0) verdict.lost.push(entry.mark);
    } else if (entry.fate === "unknown") {
      verdict.unknown++;
      if (times > 0) verdict.unknownReadable++;
    } else {
      if (entry.fate === "refused") {
        verdict.refusedByStatus[entry.status] = (verdict.refusedByStatus[entry.status] ?? 0) + 1;
      }
      if (times > 0) verdict.ghosts.push(entry.mark);
    }
  }
  return verdict;
}

/**
 * Where reading order departs from the order of the log: pairs of neighbours that readers see the other way round.
 * Marks that one side lacks are left out of the comparison.
 */
export function misordered(logOrder: readonly string[], readOrder: readonly string[]): string[] {
  const placeInLog = new Map<string, number>();
  for (const [at, mark] of logOrder.entries()) if (!placeInLog.has(mark)) placeInLog.set(mark, at);
  const faults: string[] = [];
  let highest = -1;
  for (const mark of readOrder) {
    const place = placeInLog.get(mark);
    if (place === undefined) continue;
    if (place < highest) faults.push(mark);
    highest = Math.max(highest, place);
  }
  return faults;
}

/** The longest time in ms without an accepted event between two moments; `acceptedAt` rises. */
export function longestSilence(acceptedAt: readonly number[], from: number, to: number): number {
  let last = from;
  let longest = 0;
  for (const at of acceptedAt) {
    if (at < from) continue;
    if (at > to) break;
    longest = Math.max(longest, at - last);
    last = at;
  }
  return Math.round(Math.max(longest, to - last));
}
