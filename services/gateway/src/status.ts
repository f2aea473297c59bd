/** The state of the parts for GET /status: which answer, and how far each consumer group is behind. */
import { AppError } from "@headgate/kit/errors";
import type { Kafka, Lag } from "@headgate/kit/kafka";
import { groups } from "@headgate/proto/topics";
import type { StatusReport } from "./dialects/headgate/api/deps.ts";

/** ms that the page waits for a part. */
export const PROBE_MS = 1_000;

/** A part, and how to ask it for something small; `ask` has its own deadline. */
export type Probe = {
  readonly name: string;
  readonly ask: () => Promise<unknown>;
  /** Its version, as its last answer said; undefined where none did. */
  readonly version?: () => string | undefined;
};

/** What the report is made of. */
export type StatusDeps = {
  readonly version: string;
  readonly probes: readonly Probe[];
  readonly kafka: Pick<Kafka, "lag">;
  /** ms since 1970. */
  readonly now?: () => number;
};

/** Makes the reporter. Asks all parts at once; a part that is away makes the report, not an error. */
export function createStatus({
  version,
  probes,
  kafka,
  now = Date.now,
}: StatusDeps): () => Promise<StatusReport> {
  return async function status() {
    const [lags, ...parts] = await Promise.all([
      kafka.lag(groups).catch(ignoreAway),
      ...probes.map(async ({ name, ask, version: versionOf }) => {
        const isReady = await answers(ask);
        return { name, isReady, version: versionOf?.() };
      }),
    ]);
    const log = { name: "log", isReady: lags !== undefined };
    const oldestMs = oldestOf(lags ?? []);
    return {
      version,
      parts: [log, ...parts],
      groups: sumUp(lags ?? [], now()),
      oldestUndelivered: oldestMs === undefined ? undefined : new Date(oldestMs),
    };
  };
}

/** One line per group and topic: partitions are no matter of people's. */
function sumUp(lags: readonly Lag[], nowMs: number): StatusReport["groups"] {
  const byGroup = Map.groupBy(lags, ({ group, topic }) => `${group} ${topic}`);
  return [...byGroup.values()].flatMap((partitions) => {
    const [first] = partitions;
    if (!first) return [];
    const { group, topic } = first;
    const lag = partitions.reduce((sum, partition) => sum + partition.lag, 0);
    const oldestMs = oldestOf(partitions);
    const ageMs = oldestMs === undefined ? 0 : Math.max(0, nowMs - oldestMs);
    const isKnown = lag === 0 || oldestMs !== undefined;
    return [{ group, topic, lag, lagSeconds: isKnown ? ageMs / 1_000 : undefined }];
  });
}

function oldestOf(lags: readonly Lag[]): number | undefined {
  const times = lags.flatMap(({ oldestMs }) => oldestMs ?? []);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Any answer is one, a refusal too: only who is silent is away. */
async function answers(ask: Probe["ask"]): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch (thrown) {
    const { code } = AppError.from(thrown);
    return code !== "unavailable" && code !== "deadline_exceeded";
  }
}

function ignoreAway(thrown: unknown): undefined {
  if (AppError.from(thrown).code !== "unavailable") throw thrown;
}
