/** The system under the bench: started for it with throwaway data, watched by following chat.posted where asked. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openKafka, provisionTopics } from "@headgate/kit/kafka";
import { createLog } from "@headgate/kit/log";
import { ask } from "@headgate/local/parts/probe";
import { type System, startSystem } from "@headgate/local/system";
import { groups, topics } from "@headgate/proto/topics";
import { floorTopic } from "../floors/topic.ts";

/** What the runs need of it. */
export type BenchSystem = AsyncDisposable & {
  readonly port: number;
  readonly kafkaBrokers: string;
  /** The system itself. */
  readonly running: System;
  /** Where each service shows /metrics. */
  readonly opsUrls: System["opsUrls"];
  /** Paths of the demo's hooks without limits. */
  readonly paths: { readonly headgate: string; readonly mattermost: string };
  /** Every process that has a part in the way of an event. */
  processes(): { name: string; pid: number }[];
  /** Keys that Redis evicted since it started. */
  redisEvictedKeys(): Promise<number>;
  /** Resolves when nothing waits in chat.requested. @throws Error after two minutes */
  drained(): Promise<void>;
  /** Tells the text of each message as it becomes readable, with the moment, until it is disposed. */
  followReadable(listener: (text: string, at: number) => void): Promise<AsyncDisposable>;
};

const DRAIN_TIMEOUT_MS = 120_000;

/**
 * Starts it, with telemetry off unless `env` asks for it by OTEL_*. The default ceiling of a hook is off unless it is given:
 * the benches send everything through one hook.
 */
export async function openBenchSystem(
  env: NodeJS.ProcessEnv = process.env,
  { hookCeilingPerMinute = 0 }: { hookCeilingPerMinute?: number } = {},
): Promise<BenchSystem> {
  await using scope = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), "headgate-bench-"));
  scope.defer(() => rm(dataDir, { recursive: true, force: true }));
  const report = (line: string) => void process.stderr.write(`  ${line}\n`);
  const system = scope.use(
    await startSystem({
      dataDir,
      port: 0,
      logLevel: "warn",
      serviceEnv: { gateway: { HEADGATE_HOOK_CEILING_PER_MINUTE: String(hookCeilingPerMinute) } },
      env,
      report,
    }),
  );
  const log = createLog({ service: "bench", level: "error" });
  const brokers = system.parts.kafkaBrokers;
  await provisionTopics({ brokers, topics: [floorTopic], groups: {}, log });
  const kafka = scope.use(await openKafka({ brokers, clientId: "bench", log }));

  const open = scope.move();
  return {
    running: system,
    port: Number(new URL(system.url).port),
    kafkaBrokers: brokers.join(","),
    opsUrls: system.opsUrls,
    paths: {
      headgate: new URL(system.demo.hooks.headgate).pathname,
      mattermost: new URL(system.demo.hooks.mattermost).pathname,
    },
    processes() {
      const all = [...Object.values(system.services), ...Object.values(system.parts.processes)];
      return all.flatMap(({ name, pid }) => (pid === undefined ? [] : [{ name, pid }]));
    },
    redisEvictedKeys: () => readEvictedKeys(system.parts.redisUrl),
    async drained() {
      const deadline = performance.now() + DRAIN_TIMEOUT_MS;
      while ((await kafka.lag(groups)).some(({ lag }) => lag > 0)) {
        if (performance.now() > deadline) throw new Error("chat does not catch up");
        await sleep(100);
      }
    },
    async followReadable(listener) {
      const follower = await kafka.follow(topics.chatPosted, { from: "now" }, (records) => {
        const at = performance.now();
        for (const { value } of records) listener(value?.message?.content?.text ?? "", at);
      });
      await follower.caughtUp;
      return follower;
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** The sum of what a pattern's first group matches in the metrics at an address; 0 where nothing matches. */
export async function readMetric(url: string, pattern: RegExp): Promise<number> {
  const text = await (await fetch(url, { signal: AbortSignal.timeout(10_000) })).text();
  const all = text.matchAll(new RegExp(pattern, `${pattern.flags.replace("g", "")}g`));
  return [...all].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function readEvictedKeys(redisUrl: string): Promise<number> {
  const { port, password } = new URL(redisUrl);
  const answer = await ask({
    port: Number(port),
    question: Buffer.from(`AUTH ${password}\r\nINFO stats\r\n`),
    isWhole: (bytes) => /evicted_keys:\d+\r\n/.test(bytes.toString("latin1")),
  });
  return Number(/evicted_keys:(\d+)/.exec(answer?.toString("latin1") ?? "")?.[1] ?? 0);
}
