/** The registry's tables behind the rules: reads through the pool, changes in one transaction with their announcements. */
import { toBinary } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import type { RawRecord } from "@headgate/kit/kafka";
import type { Db, Postgres } from "@headgate/kit/postgres";
import { RegistryChangedSchema } from "@headgate/proto/registry/v1/registry";
import { topics } from "@headgate/proto/topics";
import type { Announcement, Changes, Store } from "./service-deps.ts";
import { createChanges } from "./store-changes.ts";
import { createReader } from "./store-reads.ts";

/** The schema of all tables here. */
export const SCHEMA = "registry";
/** How often a change is tried when another came between (deadlock). */
const TRIES_MAX = 3;

type Options = {
  db: Postgres;
  outbox: {
    /** Writes records into the outbox of a transaction. */
    add: (db: Db, records: readonly RawRecord[]) => Promise<void>;
    /** Holds off other writers of the outbox until the transaction ends. */
    lock: (db: Db) => Promise<void>;
  };
  /** Headers of a record announced now. */
  headers: () => Record<string, string>;
  /** Called after each commit that announced something. */
  onAnnounced: () => void;
};

/** A store on Postgres. */
export function createStore({ db, outbox, headers, onAnnounced }: Options): Store {
  return { ...createReader(db), change, reserveNumbers, touchHooks, touchToken };

  async function change<T>(work: (changes: Changes) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await changeOnce(work);
      } catch (thrown) {
        const error = AppError.from(thrown);
        if (error.reason === "taken") throw nameTaken(error);
        if (error.code !== "aborted" || attempt >= TRIES_MAX) throw thrown;
      }
    }
  }

  async function changeOnce<T>(work: (changes: Changes) => Promise<T>): Promise<T> {
    const waiting: Announcement[] = [];
    const result = await db.transaction(async (tx) => {
      const changes = createChanges(tx, {
        add: (more) => void waiting.push(...more),
        lock: () => outbox.lock(tx),
      });
      const made = await work(changes);
      // Last of all: writers of the outbox take turns until they commit.
      if (waiting.length > 0) await outbox.add(tx, toRecords(waiting, headers));
      return made;
    });
    if (waiting.length > 0) onAnnounced();
    return result;
  }

  /** One row that all share, and no transaction around it, so that nobody waits longer than one statement. */
  async function reserveNumbers(count: number): Promise<bigint> {
    const [row] = await db.query<{ first: string }>(
      "update registry.numbers set next = next + $1 returning next - $1 as first",
      [count],
    );
    if (!row) throw new AppError("internal", "numbers_missing", "There are no numbers.");
    return BigInt(row.first);
  }

  async function touchHooks(uses: readonly { hookId: string; usedAt: Date }[]): Promise<void> {
    // Rows are locked in the order of their ids, so that two replicas of the gateway never block each other.
    await db.query(
      `with uses as (
         select id, least(max(used_at), now()) as used_at
         from unnest($1::uuid[], $2::timestamptz[]) as use (id, used_at) group by id),
       locked as (
         select h.id, uses.used_at from registry.incoming_hooks h join uses on uses.id = h.id
         order by h.id for no key update of h)
       update registry.incoming_hooks h set last_used_at = greatest(h.last_used_at, locked.used_at)
       from locked where h.id = locked.id`,
      [uses.map(({ hookId }) => hookId), uses.map(({ usedAt }) => usedAt)],
    );
  }

  async function touchToken(id: string, at: Date): Promise<void> {
    const text =
      "update registry.tokens set last_used_at = greatest(last_used_at, $2) where id = $1";
    await db.query(text, [id, at]);
  }
}

/** Announcements as records of registry.changed.v1. */
export function toRecords(
  announcements: readonly Announcement[],
  headers: () => Record<string, string>,
): RawRecord[] {
  return announcements.map(({ key, value }) => ({
    topic: topics.registryChanged.name,
    key,
    value: value ? toBinary(RegistryChangedSchema, value) : null,
    headers: headers(),
  }));
}

function nameTaken(cause: AppError): AppError {
  return new AppError("already_exists", "name_taken", "The name is taken.", { cause });
}
