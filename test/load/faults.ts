/**
 * The journey with faults: marked events into several channels at a steady rate while parts and services are killed,
 * then the books compared with what the log holds and what readers see.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { openKafka } from "@headgate/kit/kafka";
import { createLog } from "@headgate/kit/log";
import type { System } from "@headgate/local/system";
import { topics } from "@headgate/proto/topics";
import { type Ask, createAsk } from "./ask.ts";
import { openBooks, retryKeyed, type Target } from "./books.ts";
import { runLoad } from "./client.ts";
import { type Entry, judge, longestSilence, misordered, type Verdict } from "./ledger.ts";

/** One thing that goes wrong at a moment of the run. */
export type Fault = {
  readonly name: string;
  readonly atSeconds: number;
  readonly happen: (system: System) => Promise<void> | void;
};

/** What the run came to; silences in ms. */
export type FaultReport = Verdict & {
  readonly seconds: number;
  readonly perSecond: number;
  readonly misordered: string[];
  /** When each lost event was accepted, in ms of performance.now(). */
  readonly lostAcceptedAt: readonly number[];
  /** Keyed events that were not accepted within the time for retries. */
  readonly keyedUnaccepted: number;
  readonly silences: { fault: string; longestMs: number }[];
  /** ms from the end of the load until everything accepted was readable. */
  readonly caughtUpMs: number;
};

const CONNECTIONS = 256;
/** ms that one answer may take. */
const ANSWER_TIMEOUT_MS = 15_000;
/** Far beyond what a slow machine needs to start its parts again: they end a wait for what never comes. */
const RETRY_TIMEOUT_MS = 120_000;
const CATCH_UP_TIMEOUT_MS = 180_000;

/** Runs the load with the faults in it, and judges. */
export async function runFaults(
  system: System,
  options: {
    rate: number;
    seconds: number;
    channels: number;
    faults: readonly Fault[];
    /** Which accepted events are waited for at the end; absent: all. Asked once the load is over. */
    mustBeReadable?: (entry: Entry) => boolean;
  },
): Promise<FaultReport> {
  const ask = createAsk(system);
  const targets = await makeTargets(ask, system, options.channels);
  const books = openBooks(targets);
  const port = Number(new URL(system.url).port);

  const startedAt = performance.now();
  const happened: { name: string; at: number }[] = [];
  const faults = options.faults.map(async (fault) => {
    await sleep(fault.atSeconds * 1000);
    happened.push({ name: fault.name, at: performance.now() });
    await fault.happen(system);
  });
  await runLoad({
    port,
    connections: CONNECTIONS,
    seconds: options.seconds,
    rate: options.rate,
    readBodies: true,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
    next: books.next,
    onResult: books.note,
  });
  const endedAt = performance.now();
  await Promise.all(faults);
  const one = { port, connections: 1, readBodies: true, answerTimeoutMs: ANSWER_TIMEOUT_MS };
  await retryKeyed((load) => runLoad({ ...one, ...load }), books, RETRY_TIMEOUT_MS);

  const entries = books.entries;
  const { mustBeReadable = () => true } = options;
  const wanted = new Set(
    entries
      .filter((entry) => entry.fate === "accepted" && mustBeReadable(entry))
      .map(({ mark }) => mark),
  );
  const readable = await readUntil(ask, targets, wanted);
  const caughtUpMs = Math.round(performance.now() - endedAt);
  const logged = await readLog(system, targets);
  const verdict = judge(entries, [...readable.values()].flat());
  happened.sort((a, b) => a.at - b.at);
  const lost = new Set(verdict.lost);
  return {
    ...verdict,
    seconds: Math.round((endedAt - startedAt) / 100) / 10,
    perSecond: Math.round(verdict.sent / ((endedAt - startedAt) / 1000)),
    misordered: targets.flatMap(({ channelId }) =>
      misordered(logged.get(channelId) ?? [], readable.get(channelId) ?? []),
    ),
    lostAcceptedAt: entries.flatMap(({ mark, acceptedAt }) =>
      lost.has(mark) && acceptedAt !== undefined ? [acceptedAt] : [],
    ),
    keyedUnaccepted: entries.filter(({ keyed, fate }) => keyed && fate !== "accepted").length,
    silences: happened.map(({ name, at }, index) => ({
      fault: name,
      longestMs: longestSilence(books.acceptedAt, at, happened[index + 1]?.at ?? endedAt),
    })),
    caughtUpMs,
  };
}

async function makeTargets(ask: Ask, system: System, count: number): Promise<Target[]> {
  const targets: Target[] = [];
  for (let at = 0; at < count; at++) {
    const name = `faults-${at}-${Date.now()}`;
    const channel = await ask("POST", "/channels", {
      team_id: system.demo.team.id,
      name,
      display_name: name,
    });
    const hook = await ask("POST", "/incoming-hooks", {
      dialect: "headgate",
      action: "chat_message",
      target: { channel_id: channel.id },
      name,
    });
    targets.push({ channelId: String(channel.id), path: new URL(String(hook.url)).pathname });
  }
  return targets;
}

/** Reads every channel from its first message on, again and again until all wanted marks are there or the time is up. */
async function readUntil(
  ask: Ask,
  targets: readonly Target[],
  wanted: ReadonlySet<string>,
): Promise<Map<string, string[]>> {
  const readable = new Map<string, string[]>(targets.map(({ channelId }) => [channelId, []]));
  const cursors = new Map<string, string>(targets.map(({ channelId }) => [channelId, "0"]));
  const missing = new Set(wanted);
  const deadline = performance.now() + CATCH_UP_TIMEOUT_MS;
  let quietRounds = 0;
  // Two quiet rounds past the last wanted one, so that a second copy behind it would be seen too.
  while (performance.now() < deadline && (missing.size > 0 || quietRounds < 2)) {
    let found = 0;
    for (const { channelId } of targets) {
      const page = await ask(
        "GET",
        `/channels/${channelId}/messages?limit=200&after=${cursors.get(channelId)}`,
      ).catch(() => undefined);
      for (const { text } of (page?.data ?? []) as { text: string }[]) {
        readable.get(channelId)?.push(text);
        missing.delete(text);
        found++;
      }
      if (page?.next) cursors.set(channelId, String(page.next));
    }
    quietRounds = found === 0 ? quietRounds + 1 : 0;
    if (found === 0) await sleep(300);
  }
  return readable;
}

/** The marks of each channel in the order of the log. */
async function readLog(system: System, targets: readonly Target[]): Promise<Map<string, string[]>> {
  const log = createLog({ service: "faults", level: "error" });
  const marks = new Map<string, string[]>(targets.map(({ channelId }) => [channelId, []]));
  await using kafka = await openKafka({
    brokers: system.parts.kafkaBrokers,
    clientId: "faults",
    log,
  });
  await using follower = await kafka.follow(topics.chatRequested, { from: "start" }, (records) => {
    for (const { value } of records) {
      if (value?.action.case !== "chatMessage") continue;
      const { channelId, content } = value.action.value;
      marks.get(channelId)?.push(content?.text ?? "");
    }
  });
  await follower.caughtUp;
  return marks;
}
