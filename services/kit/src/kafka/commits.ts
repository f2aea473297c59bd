/** Progress of a group member: noted by partition, committed together some ms later. */
import { delayMs } from "../backoff.ts";
import { ATTR } from "../semconv.ts";
import { type SpanContext, startSpan } from "../telemetry.ts";
import type { KafkaMetrics } from "./metrics.ts";
import type { Position } from "./offsets.ts";
import { pause } from "./pause.ts";

/** What is noted and not yet committed. */
export type Commits = {
  /** Every record before the position is done. `trace`: the span of the poll it came with. */
  note(partition: number, position: Position, trace: SpanContext | undefined): void;
  /** Commits what is noted, within 5 s; what could not be is forgotten and comes again to whoever has the partition next. */
  flush(): Promise<void>;
  /** Forgets what is noted. */
  forget(): void;
};

/** ms that progress is gathered before it is committed. */
const GATHER_MS = 25;
/** ms for the last commit before partitions are given back. */
const FLUSH_TIMEOUT_MS = 5_000;
const RETRY = { firstMs: 50, mostMs: 2_000 };

/**
 * Nothing noted yet. `send` commits offsets of partitions: false when it never will, a throw when it may later. After
 * `signal` aborts only `flush` commits.
 */
export function createCommits(options: {
  readonly topic: string;
  readonly group: string;
  readonly clientId: string;
  readonly metrics: KafkaMetrics;
  readonly signal: AbortSignal;
  readonly send: (positions: readonly (readonly [number, Position])[]) => Promise<boolean>;
}): Commits {
  const { topic, group, clientId, metrics, signal, send } = options;
  const marks = new Map<number, Position>();
  let trace: SpanContext | undefined;
  let committing: Promise<void> | undefined;

  return {
    note(partition, position, poll) {
      marks.set(partition, position);
      trace = poll ?? trace;
      committing ??= commitSoon();
    },
    async flush() {
      await committing;
      await commitAll(AbortSignal.timeout(FLUSH_TIMEOUT_MS));
      marks.clear();
    },
    forget: () => marks.clear(),
  };

  async function commitSoon(): Promise<void> {
    await pause(GATHER_MS, signal);
    await commitAll(signal);
    committing = undefined;
  }

  async function commitAll(over: AbortSignal): Promise<void> {
    for (let attempt = 1; marks.size > 0 && !over.aborted; attempt++) {
      if (await commitOnce()) attempt = 0;
      else await pause(delayMs(RETRY, attempt), over);
    }
  }

  /** Commits all that is noted; what could not be stays noted. */
  async function commitOnce(): Promise<boolean> {
    const taken = [...marks];
    const started = performance.now();
    const span = startSpan(`commit ${topic}`, {
      kind: "client",
      ...(trace ? { parent: trace } : { root: true }),
      attributes: {
        [ATTR.messagingSystem]: "kafka",
        [ATTR.messagingDestination]: topic,
        [ATTR.messagingOperation]: "commit",
        [ATTR.messagingOperationType]: "settle",
        [ATTR.messagingGroup]: group,
        [ATTR.messagingClientId]: clientId,
      },
    });
    let error: string | undefined;
    try {
      if (await send(taken)) {
        for (const [partition, position] of taken) {
          if (marks.get(partition) === position) marks.delete(partition);
        }
        return true;
      }
      error = "not_a_member";
      marks.clear();
      return true;
    } catch (thrown) {
      error = "unavailable";
      span.fail(thrown);
      return false;
    } finally {
      span.end();
      metrics.operation(topic, "commit", (performance.now() - started) / 1_000, error);
    }
  }
}
