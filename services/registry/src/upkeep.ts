/** What runs beside the rpcs: preparing the first start, healing a lost topic, ending graces. */
import { setTimeout as sleep } from "node:timers/promises";
import { retry } from "@headgate/kit/backoff";
import { AppError } from "@headgate/kit/errors";
import type { Kafka } from "@headgate/kit/kafka";
import type { Log } from "@headgate/kit/log";
import { topics } from "@headgate/proto/topics";
import type { RegistryService } from "./service.ts";
import type { FirstAdmin } from "./service-first-admin.ts";

/** ms between looks for credentials whose grace is over: how much longer one may live in the copies of others. */
const EXPIRE_EVERY_MS = 1_000;
/** Tries of the first start while the database is away: about five minutes. */
const FIRST_START = { firstMs: 200, mostMs: 5_000, attemptsMax: 64 } as const;

/**
 * Makes the first system admin, or recovers it where the settings ask for that, once the database answers.
 * @throws AppError of the last try
 */
export async function prepareFirstStart(options: {
  registry: Pick<RegistryService, "ensureFirstAdmin" | "recoverAdmin">;
  firstAdmin: (FirstAdmin & { isRecovered: boolean }) | undefined;
  log: Log;
}): Promise<void> {
  const { registry, firstAdmin, log } = options;
  if (!firstAdmin) return;
  const isFinal = (thrown: unknown) => AppError.from(thrown).code !== "unavailable";
  const repeat = <T>(step: () => Promise<T>) => retry(step, { ...FIRST_START, isFinal });
  const { name, password, token, isRecovered } = firstAdmin;
  if (await repeat(() => registry.ensureFirstAdmin(firstAdmin))) {
    log.info("registry.first_admin_made", { name });
  } else if (isRecovered && password !== undefined && token !== undefined) {
    const isChanged = await repeat(() => registry.recoverAdmin({ name, password, token }));
    if (isChanged) log.warn("registry.admin_recovered", { name });
  }
}

/**
 * Looks once whether the topic holds anything; if not (a new Kafka beside an old database), announces everything. Waits
 * for Kafka in the background; until then the registry serves. What is lost while it runs is healed at its next start.
 */
export async function openHealing(options: {
  registry: Pick<RegistryService, "announceAll">;
  follow: Kafka["follow"];
  log: Log;
}): Promise<AsyncDisposable> {
  const { registry, follow, log } = options;
  const closing = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<void>();
  const work = look().catch((error: unknown) => log.warn("registry.healing_failed", { error }));
  return {
    async [Symbol.asyncDispose]() {
      closing.resolve();
      await work;
    },
  };

  async function look(): Promise<void> {
    let isEmpty = true;
    await using follower = await follow(topics.registryChanged, { from: "start" }, () => {
      isEmpty = false;
      seen.resolve();
    });
    const isRead = follower.caughtUp.then(
      () => true,
      () => false,
    );
    const isKnown = seen.promise.then(() => true);
    if (!(await Promise.race([isRead, isKnown, closing.promise.then(() => false)]))) return;
    if (isEmpty) log.info("registry.announced_all", { records: await registry.announceAll() });
  }
}

/** Ends credentials whose grace is over, each second; at its start it withdraws what an older release left. */
export async function openExpiry(options: {
  registry: Pick<RegistryService, "expireCredentials" | "withdrawLeftovers">;
  log: Log;
}): Promise<AsyncDisposable> {
  const { registry, log } = options;
  const closing = new AbortController();
  const loop = run();
  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await loop;
    },
  };

  async function run(): Promise<void> {
    let isFailing = false;
    let isSwept = false;
    while (!closing.signal.aborted) {
      try {
        if (!isSwept) {
          const count = await registry.withdrawLeftovers();
          if (count > 0) log.warn("registry.leftovers_withdrawn", { users: count });
          isSwept = true;
        }
        const count = await registry.expireCredentials();
        if (count > 0) log.info("registry.graces_ended", { hooks: count });
        isFailing = false;
      } catch (error) {
        if (!isFailing) log.warn("registry.expiry_failed", { error });
        isFailing = true; // said once; the next round tries again
      }
      await sleep(EXPIRE_EVERY_MS, undefined, { signal: closing.signal }).catch(() => {});
    }
  }
}
