/**
 * The outbox: announcements written in the same transaction as the change they tell of, and relayed to Kafka afterwards.
 * Its table `<schema>.outbox` belongs to the owner's migrations:
 * id bigint identity primary key, topic text, key text, value bytea null, headers jsonb,
 * created_at timestamptz default now(), refused_reason text null.
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
/**
 * Waits between rounds that failed. There is no last try: rows wait as long as Kafka is away. Short, because a hook that
 * was deleted meanwhile is used until its record is published.
 */
const BACKOFF: Backoff = { firstMs: 200, mostMs: 1_000 };
/** Ms between looks whether Kafka is ready again, during such a wait. */
const READY_POLL_MS = 50;
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
 * crash in between publishes rows again, in the same order. A row that Kafka can never take (it is too large) is set aside:
 * it stays in the table with its reason, is logged as an error, and does not stop the rows behind it.
 * @param options.ready whether Kafka can be reached; a wait ends as soon as it can again
 */
export async function openOutboxRelay(options: {
  db: Postgres;
  schema: string;
  publish: (records: readonly RawRecord[]) => Promise<void>;
  ready?: () => boolean;
  log: Log;
}): Promise<OutboxRelay> {
  const { db, schema, publish, ready = () => true, log } = options;
  const closing = new AbortController();
  const waiting = { count: 0, oldestSeconds: 0, lookedMs: Number.NEGATIVE_INFINITY };
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
        await backOff(failures);
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
        `select id, topic, key, value, headers from ${schema}.outbox
         where refused_reason is null order by id limit ${BATCH_MAX}`,
        [],
        { summary: `SELECT ${schema}.outbox` },
      );
      if (rows.length === 0) return 0;
      const refused = await publishRows(rows);
      await tx.query(
        `delete from ${schema}.outbox where id = any($1::bigint[])`,
        [rows.flatMap((row) => (refused.has(row) ? [] : row.id))],
        { summary: `DELETE ${schema}.outbox` },
      );
      for (const [row, error] of refused) await setAside(tx, row, error);
      return rows.length;
    });
  }

  /**
   * Publishes rows in their order. When one is refused for what it is, they go one by one.
   * @returns the refused rows @throws AppError when Kafka does not take rows now
   */
  async function publishRows(rows: readonly Row[]): Promise<Map<Row, AppError>> {
    try {
      await publish(rows.map(toRecord));
      return new Map();
    } catch (thrown) {
      const error = AppError.from(thrown);
      if (error.code !== "invalid_argument") throw thrown;
      const [first] = rows;
      if (first && rows.length === 1) return new Map([[first, error]]);
    }
    const refused: [Row, AppError][] = [];
    for (const row of rows) refused.push(...(await publishRows([row])));
    return new Map(refused);
  }

  async function setAside(tx: Db, { id, topic, key, value }: Row, error: AppError): Promise<void> {
    await tx.query(
      `update ${schema}.outbox set refused_reason = $2 where id = $1`,
      [id, error.reason],
      { summary: `UPDATE ${schema}.outbox` },
    );
    const { reason } = error;
    log.error("outbox.row_refused", { schema, id, topic, key, bytes: value?.length ?? 0, reason });
  }

  /** Waits after a failed round; ends early when Kafka is ready again, and when the relay is closed. */
  async function backOff(failures: number): Promise<void> {
    const wasReady = ready();
    const untilMs = performance.now() + delayMs(BACKOFF, failures);
    while (!closing.signal.aborted && performance.now() < untilMs) {
      if (!wasReady && ready()) return;
      await sleep(READY_POLL_MS, undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  /** Counts what waits, now and then; always when there was something, so that the gauge comes back to 0. */
  async function count(busy: boolean): Promise<void> {
    if (!busy && waiting.count === 0 && performance.now() - waiting.lookedMs < COUNT_MS) return;
    if (busy && performance.now() - waiting.lookedMs < COUNT_MS / 4) return;
    waiting.lookedMs = performance.now();
    const [row] = await db.query<{ pending: number; age: number }>(
      `select count(*)::integer as pending,
              coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age
       from ${schema}.outbox where refused_reason is null`,
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

function toRecord({ topic, key, value, headers }: Row): RawRecord {
  return { topic, key, value, headers: headers ?? {} };
}
