/**
 * The door to Postgres: queries and transactions with a deadline each, from a pool that survives the server's absence.
 * Needs nothing of a session (no named statements, no SET outside a transaction), so pgbouncer's transaction mode will do.
 */
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Log } from "./log.ts";
import { isConnectionLost, toAppError } from "./postgres/errors.ts";
import { createRunner, type Runner } from "./postgres/query.ts";
import { ATTR, METRIC } from "./semconv.ts";
import { gauge, histogram } from "./telemetry.ts";

export { constraintOf } from "./postgres/errors.ts";
export { migrate } from "./postgres/migrate.ts";

/** Connections at most unless said otherwise. */
const POOL_MAX = 10;
/** Bounds of waits for a connection, in seconds. */
const WAIT_BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
/** Ms to wait for a connection: a free one of the pool, or a new one. */
const CONNECT_MS = 2_000;
/** Ms a statement may run unless said otherwise. */
const STATEMENT_MS = 5_000;
/** Ms a statement may wait for a lock. Operations J8. */
const LOCK_MS = 2_000;
/** Ms that the answer may come later than the server's own limit before the connection is given up. */
const ANSWER_GRACE_MS = 1_000;
/** Ms that connections get to say goodbye when the pool is closed. */
const CLOSE_MS = 3_000;
/** Ms between probes while the server is away; while it is there, every fifth. */
const PROBE_MS = 1_000;

/** What a query may say about itself. */
export type QueryOptions = {
  /** Span name and metric label: verb and table, `INSERT chat.messages`. Made from the text when absent. */
  summary?: string;
  /**
   * Name under which the statement stays prepared on each connection: one text each. For frequent statements whose
   * planning costs more than their work; a statement without it is planned each time, for its own parameters.
   */
  name?: string;
};

/** Runs SQL. `bigint` columns come as strings, `timestamptz` as Dates, `jsonb` parsed, `bytea` as Buffers. */
export type Db = {
  /**
   * Runs one statement and returns its rows.
   * @throws AppError `database_unavailable` (unavailable), `database_rejected` (invalid_argument), `taken`
   * (already_exists, see `constraintOf`), `database_conflict` (aborted: deadlock, worth another try),
   * `database_mismatch` (unavailable: schema or rights are not what the code expects), else internal
   */
  query<Row>(text: string, parameters?: readonly unknown[], options?: QueryOptions): Promise<Row[]>;
};

/** A pool of connections. Disposing waits for running statements, at most their own limits. */
export type Postgres = Db &
  AsyncDisposable & {
    /**
     * Commits what `work` did when it returns, rolls back when it throws or when one of its statements failed. `work`
     * must use the Db it is handed.
     */
    transaction<T>(work: (db: Db) => Promise<T>): Promise<T>;
    /** Whether the server answered last time; probed each second or so. Never waits. */
    readonly ready: boolean;
  };

/** Opens a pool. Does not wait for the server. */
export async function openPostgres(options: {
  url: string;
  /** Connections at most; 10. */
  poolMax?: number;
  /** Ms per statement; 5,000. */
  statementTimeoutMs?: number;
  log: Log;
}): Promise<Postgres> {
  const { log, statementTimeoutMs = STATEMENT_MS, poolMax = POOL_MAX } = options;
  let ready = false;
  let ticks = 0;
  const spoilt = new WeakSet<object>();
  let pool = createPool(true);
  const run: Runner = createRunner(options.url);
  const begin = `begin; set local statement_timeout = ${statementTimeoutMs}; set local lock_timeout = ${LOCK_MS}`;
  observePool(() => pool, poolMax);
  const waits = histogram(METRIC.dbConnectionWait, { unit: "s", bounds: WAIT_BOUNDS });
  const probe = setInterval(() => {
    if (!ready || ++ticks % 5 === 0) void look();
  }, PROBE_MS);
  probe.unref();
  void look();

  return {
    query: (text, parameters, given) => lend((client) => run(client, text, parameters, given)),
    transaction,
    get ready() {
      return ready;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(probe);
      await Promise.race([pool.end(), sleep(CLOSE_MS, undefined, { ref: false })]);
    },
  };

  async function transaction<T>(work: (db: Db) => Promise<T>): Promise<T> {
    return lend(async (client) => {
      await run(client, begin, [], { summary: "BEGIN" });
      let result: T;
      let failed: { thrown: unknown } | undefined;
      try {
        result = await work({ query });
        // Postgres would turn the commit into a rollback without a word.
        if (failed) throw failed.thrown;
      } catch (thrown) {
        // A rollback that fails spoils the connection; what made it necessary is still what the caller hears.
        await run(client, "rollback", [], { summary: "ROLLBACK" }).catch(() => spoil(client));
        throw thrown;
      }
      await run(client, "commit", [], { summary: "COMMIT" });
      return result;

      async function query<Row>(
        text: string,
        parameters?: readonly unknown[],
        given?: QueryOptions,
      ): Promise<Row[]> {
        try {
          return await run<Row>(client, text, parameters, given);
        } catch (thrown) {
          failed ??= { thrown };
          throw thrown;
        }
      }
    });
  }

  /** Lends a connection to `use`, and gives it back, or ends it when it is spoilt. */
  async function lend<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await take();
    try {
      return await use(client);
    } catch (thrown) {
      if (isConnectionLost(thrown)) {
        ready = false;
        spoil(client);
      }
      throw thrown;
    } finally {
      client.release(spoilt.has(client));
    }
  }

  async function take(): Promise<pg.PoolClient> {
    const startedMs = performance.now();
    const tried = pool;
    try {
      const client = await tried.connect();
      waits.record((performance.now() - startedMs) / 1000, POOL_NAME);
      ready = true;
      return client;
    } catch (thrown) {
      if (isRefusedParameter(thrown) && tried.options.statement_timeout) {
        if (pool === tried) useWithoutLimits();
        return take();
      }
      ready = false;
      throw toAppError(thrown);
    }
  }

  /** Limits of single statements are then the client's alone: the server may work on for a while. */
  function useWithoutLimits(): void {
    log.info("postgres.limits_by_transaction", {
      detail: "a pooler refuses limits at connect; they are set in each transaction",
    });
    void pool.end();
    pool = createPool(false);
  }

  /** Marks a connection as not to be used again. */
  function spoil(client: object): void {
    spoilt.add(client);
  }

  async function look(): Promise<void> {
    try {
      await lend((client) => run(client, "select 1", [], { summary: "SELECT" }));
    } catch {
      // `lend` noted it in `ready`
    }
  }

  function createPool(withLimits: boolean): pg.Pool {
    const limits = { statement_timeout: statementTimeoutMs, lock_timeout: LOCK_MS };
    const made = new pg.Pool({
      connectionString: options.url,
      max: poolMax,
      connectionTimeoutMillis: CONNECT_MS,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      query_timeout: statementTimeoutMs + ANSWER_GRACE_MS,
      ...(withLimits ? limits : {}),
    });
    made.on("error", (error) => {
      ready = false;
      log.warn("postgres.connection_lost", { error: toAppError(error) });
    });
    // Without a listener, a connection that breaks while it is lent would end the process; its query fails anyway.
    made.on("connect", (client) => client.on("error", () => spoil(client)));
    return made;
  }
}

/** A process has one pool. */
const POOL_NAME = { [ATTR.dbPoolName]: "postgres" };

/** Shows the pool of a process in its metrics. */
function observePool(pool: () => pg.Pool, max: number): void {
  gauge(METRIC.dbConnectionCount, () => {
    const { totalCount, idleCount } = pool();
    return [
      { value: idleCount, attributes: { ...POOL_NAME, [ATTR.dbConnectionState]: "idle" } },
      {
        value: totalCount - idleCount,
        attributes: { ...POOL_NAME, [ATTR.dbConnectionState]: "used" },
      },
    ];
  });
  gauge(METRIC.dbConnectionPending, () => [{ value: pool().waitingCount, attributes: POOL_NAME }]);
  gauge(METRIC.dbConnectionLimit, () => [{ value: max, attributes: POOL_NAME }]);
}

/** pgbouncer refuses start-up parameters that it does not know: `08P01 unsupported startup parameter: …`. */
function isRefusedParameter(thrown: unknown): boolean {
  return (
    thrown instanceof pg.DatabaseError &&
    thrown.code === "08P01" &&
    thrown.message.includes("startup parameter")
  );
}
