/** What must stand before the services start: topics, and every service's tables. Both may be done again and again. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@headgate/kit/errors";
import { provisionTopics } from "@headgate/kit/kafka";
import type { Log } from "@headgate/kit/log";
import { migrate } from "@headgate/kit/postgres";
import { groups, topics } from "@headgate/proto/topics";
import { describeError, LocalFault } from "./fault.ts";
import type { PartAddresses } from "./parts.ts";
import { ROOT } from "./root.ts";

/**
 * Makes and checks the declared topics, and brings the schema of each service with a `migrations` folder up to date.
 * The schema is the folder's name with `_` for `-`.
 * @throws LocalFault naming what differs or cannot be applied
 */
export async function prepareParts(parts: PartAddresses, log: Log): Promise<void> {
  const provisioned = provisionTopics({
    ...parts.kafkaAccess,
    brokers: parts.kafkaBrokers,
    topics: Object.values(topics),
    groups,
    log,
  });
  const migrated = (await listMigrations()).map(run);
  await Promise.all([
    nameFailure("the topics of Kafka could not be prepared", provisioned),
    ...migrated.map((one) => nameFailure("the tables of PostgreSQL could not be prepared", one)),
  ]);

  function run(service: string): Promise<void> {
    const folder = join(ROOT, "services", service, "migrations");
    return migrate({ url: parts.databaseUrl, schema: service.replaceAll("-", "_"), folder, log });
  }
}

/** What differs may take several lines, and all of them are shown. */
async function nameFailure(what: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (cause) {
    const why =
      AppError.from(cause).reason === "topics_differ" ? String(cause) : describeError(cause);
    throw new LocalFault(`${what}: ${why}`, { cause });
  }
}

async function listMigrations(): Promise<string[]> {
  const entries = await readdir(join(ROOT, "services"), { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const files = await readdir(join(ROOT, "services", entry.name, "migrations")).catch(() => []);
      return files.some((file) => file.endsWith(".sql")) ? entry.name : undefined;
    }),
  );
  return found.filter((name) => name !== undefined);
}
