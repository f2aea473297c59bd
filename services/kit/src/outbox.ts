/**
 * The outbox: announcements written in the same transaction as the change they tell of, and relayed to Kafka afterwards.
 * Its table `<schema>.outbox` belongs to the owner's migrations:
 * id bigint identity primary key, topic text, key text, value bytea null, headers jsonb, created_at timestamptz default now().
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Backoff, delayMs } from "./backoff.ts";
import { AppError } from "./errors.ts";
import type { RawRecord } from "./kafka.ts";
import type { Log } from "./log.ts";
import type { Db, Postgres } from "./postgres.ts";
import { OUR_METRIC } from "./semconv.ts";
import { gauge } from "./telemetry.ts";

/** Ms between looks at the table when nobody nudges: rows whose writer died before its nudge. */
const POLL_MS = 500;
/** Records that go in one round. */
const BATCH_MAX = 500;
/** Waits between rounds that failed. There is no last try: rows wait as long as Kafka is away. */
const BACKOFF: Backoff = { firstMs: 200, mostMs: 5_000 };
/** Ms between counts of what waits, while anything does. */
const COUNT_MS = 2_000;
/** Ms that a round under way gets to finish when the relay is closed. */
const CLOSE_MS = 5_000;

/** Passes rows on to Kafka. `nudge` makes it look at once; call it after the commit. */
export type OutboxRelay = AsyncDisposable & { nudge(): void };

type Row = {
  id: string;
  topic: string;
  key: string;
  value: Buffer | null;
  headers: Record<string, string> | null;
};

/**
 * Writes records into the outbox, inside the caller's transaction. Writers of one outbox take turns until they commit,
 * so that ids become visible in their order; otherwise the relay could publish a later row of a key before an earlier
 * one. That is cheap for management traffic and wrong for a hot path.
 * @param db the Db of a transaction; outside one the turn ends with the statement, which is right for a single call too
 */
export async function addToOutbox(
  db: Db,
  schema: string,
  records: readonly RawRecord[],
): Promise<void> {
  if (records.length === 0) return;
  await lockOutbox(db, schema);
  await db.query(
    `insert into ${schema}.outbox (topic, key, value, headers)
     select topic, key, value, headers
     from unnest($1::text[], $2::text[], $3::bytea[], $4::jsonb[])
          with ordinality as record (topic, key, value, headers, place)
     order by place`,
    [
      records.map(({ topic }) => topic),
      records.map(({ key }) => key),
      records.map(({ value }) => (value === null ? null : Buffer.from(value))),
      records.map(({ headers }) => JSON.stringify(headers ?? {})),
    ],
    { summary: `INSERT ${schema}.outbox` },
  );
}

/**
 * Takes the writer's turn at once and keeps it until the transaction ends: what is read after this is what was announced
 * last, so that a writer who announces everything anew cannot put something old behind something new.
 */
export async function lockOutbox(db: Db, schema: string): Promise<void> {
  await db.query(
    "select pg_advisory_xact_lock(hashtextextended($1, 0))",
    [`headgate.outbox.${schema}.write`],
    { summary: "LOCK outbox" },
  );
}

/**
 * Relays rows in the order of their ids: publish, then delete. Of several relays on one outbox one works at a time. A
 * crash in between publishes rows again, in the same order.
 */
export async function openOutboxRelay(options: {
  db: Postgres;
  schema: string;
  publish: (records: readonly RawRecord[]) => Promise<void>;
  log: Log;
}): Promise<OutboxRelay> {
  const { db, schema, publish, log } = options;
  const closing = new AbortController();
  const waiting = { count: 0, oldestSeconds: 0, lookedMs: 0 };
  let nudged = false;
  let wake = () => {};
  gauge(OUR_METRIC.outboxPending, () => waiting.count, { description: "Rows not relayed yet." });
  gauge(OUR_METRIC.outboxOldestAge, () => waiting.oldestSeconds, {
    description: "Age of the oldest row not relayed yet.",
    unit: "s",
  });
  const loop = run();

  return {
    nudge() {
      nudged = true;
      wake();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      wake();
      await Promise.race([loop, sleep(CLOSE_MS, undefined, { ref: false })]);
    },
  };

  async function run(): Promise<void> {
    let failures = 0;
    while (!closing.signal.aborted) {
      try {
        nudged = false;
        const relayed = await relay();
        if (failures > 0) log.info("outbox.recovered", { schema, failures });
        failures = 0;
        await count(relayed > 0);
        if (relayed < BATCH_MAX) await pause();
      } catch (thrown) {
        failures += 1;
        const { reason } = AppError.from(thrown);
        if (failures === 1) log.warn("outbox.waiting", { schema, reason, error: thrown });
        await count(true).catch(() => {});
        await sleep(delayMs(BACKOFF, failures), undefined, { signal: closing.signal }).catch(
          () => {},
        );
      }
    }
  }

  /** One round. Returns how many rows went; 0 also when another relay is at it. */
  function relay(): Promise<number> {
    return db.transaction(async (tx) => {
      const [turn] = await tx.query<{ mine: boolean }>(
        "select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as mine",
        [`headgate.outbox.${schema}.relay`],
        { summary: "LOCK outbox" },
      );
      if (!turn?.mine) return 0;
      const rows = await tx.query<Row>(
        `select id, topic, key, value, headers from ${schema}.outbox order by id limit ${BATCH_MAX}`,
        [],
        { summary: `SELECT ${schema}.outbox` },
      );
      if (rows.length === 0) return 0;
      await publish(
        rows.map(({ topic, key, value, headers }) => ({
          topic,
          key,
          value,
          headers: headers ?? {},
        })),
      );
      await tx.query(
        `delete from ${schema}.outbox where id = any($1::bigint[])`,
        [rows.map(({ id }) => id)],
        { summary: `DELETE ${schema}.outbox` },
      );
      return rows.length;
    });
  }

  /** Counts what waits, now and then; always when there was something, so that the gauge comes back to 0. */
  async function count(busy: boolean): Promise<void> {
    if (!busy && waiting.count === 0 && Date.now() - waiting.lookedMs < COUNT_MS) return;
    if (busy && Date.now() - waiting.lookedMs < COUNT_MS / 4) return;
    waiting.lookedMs = Date.now();
    const [row] = await db.query<{ pending: number; age: number }>(
      `select count(*)::integer as pending,
              coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age
       from ${schema}.outbox`,
      [],
      { summary: `SELECT ${schema}.outbox` },
    );
    waiting.count = row?.pending ?? 0;
    waiting.oldestSeconds = Math.max(0, row?.age ?? 0);
  }

  /** Waits for a nudge, or for the next look. */
  async function pause(): Promise<void> {
    if (nudged || closing.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const timer = setTimeout(resolve, POLL_MS);
    await promise;
    clearTimeout(timer);
  }
}
