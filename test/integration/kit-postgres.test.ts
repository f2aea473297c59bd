import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { AppError } from "@headgate/kit/errors";
import type { RawRecord } from "@headgate/kit/kafka";
import { addToOutbox, openOutboxRelay } from "@headgate/kit/outbox";
import { constraintOf, migrate, openPostgres } from "@headgate/kit/postgres";
import { describe, expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { freshDatabase, useParts } from "../support/parts.ts";
import { openTcpProxy } from "../support/tcp-proxy.ts";

/** A database of the test's own, and a pool to it through a proxy of its own. Statements may take long unless that is tried. */
async function open({
  statementTimeoutMs = 30_000,
  ...options
}: {
  poolMax?: number;
  statementTimeoutMs?: number;
} = {}) {
  const { databaseUrl } = await useParts();
  const url = await freshDatabase(databaseUrl, "kit_postgres");
  const proxy = await openTcpProxy(url);
  const { log, lines } = createCollectedLog();
  const db = await openPostgres({ url: proxy.url, log, statementTimeoutMs, ...options });
  onTestFinished(async () => {
    await db[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  await eventually(() => db.query("select 1")); // a busy server may be slow to take the first connection
  return { db, proxy, url, log, lines };
}

/** The AppError that a promise rejects with. */
async function failureOf(work: Promise<unknown>): Promise<AppError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw new Error(`no AppError but ${String(thrown)}`);
  return thrown;
}

const THINGS = "create table things (id integer primary key, name text not null unique)";

describe("queries", () => {
  test("give bigints as text, times as Dates, bytes as Buffers", async () => {
    const { db } = await open();
    const [row] = await db.query(
      "select $1::bigint as big, $2::timestamptz as at, $3::bytea as bytes",
      ["9007199254740993", "2026-01-02T03:04:05Z", Buffer.from([0, 255])],
    );
    expect(row).toEqual({
      big: "9007199254740993",
      at: new Date("2026-01-02T03:04:05Z"),
      bytes: Buffer.from([0, 255]),
    });
  });

  test("tell a taken key with its constraint, and data that is refused", async () => {
    const { db } = await open();
    await db.query(THINGS);
    await db.query("insert into things values (1, 'a')");
    const taken = await failureOf(db.query("insert into things values (2, 'a')"));
    expect([taken.code, taken.reason]).toEqual(["already_exists", "taken"]);
    expect(constraintOf(taken)).toBe("things_name_key");
    const missing = await failureOf(db.query("insert into things values (2, null)"));
    expect([missing.code, missing.reason]).toEqual(["invalid_argument", "database_rejected"]);
    const nul = await failureOf(db.query("insert into things values (3, $1)", ["a\0b"]));
    expect(nul.reason).toBe("database_rejected");
  });

  test("tell a missing table from a fault of the data", async () => {
    const { db } = await open();
    const failure = await failureOf(db.query("select * from nowhere"));
    expect([failure.code, failure.reason]).toEqual(["unavailable", "database_mismatch"]);
    expect(db.ready).toBe(true);
  });

  test("carry no value of a row into errors", async () => {
    const { db } = await open();
    await db.query(THINGS);
    await db.query("insert into things values (1, 'a-secret-name')");
    for (const text of ["insert into things values (2, $1)", "select $1::text::uuid"]) {
      const { message, cause } = await failureOf(db.query(text, ["a-secret-name"]));
      expect(`${message} ${cause} ${JSON.stringify(cause)}`).not.toContain("a-secret-name");
    }
  });

  test("end at their limit, and the connection lives on", async () => {
    const { db } = await open({ poolMax: 1, statementTimeoutMs: 2_000 });
    const failure = await failureOf(db.query("select pg_sleep(20)"));
    expect([failure.code, failure.reason]).toEqual(["unavailable", "database_unavailable"]);
    expect(db.ready).toBe(true);
    expect(await db.query("select 1 as one")).toEqual([{ one: 1 }]);
  });

  test("wait for a connection only so long", async () => {
    const { db } = await open({ poolMax: 1 });
    const busy = db.query("select pg_sleep(6)");
    expect((await failureOf(db.query("select 1"))).reason).toBe("database_unavailable");
    await busy;
  });
});

describe("transactions", () => {
  test("keep all or nothing", async () => {
    const { db } = await open();
    await db.query(THINGS);
    const thrown = new AppError("not_found", "channel_unknown", "There is no such channel.");
    const failed = db.transaction(async (tx) => {
      await tx.query("insert into things values (1, 'a')");
      throw thrown;
    });
    await expect(failed).rejects.toBe(thrown);
    expect(await db.query("select * from things")).toEqual([]);
    const name = await db.transaction(async (tx) => {
      await tx.query("insert into things values (1, 'a')");
      return "kept";
    });
    expect([name, await db.query("select id from things")]).toEqual(["kept", [{ id: 1 }]]);
  });

  test("do not claim a commit after a statement failed unheard", async () => {
    const { db } = await open();
    await db.query(THINGS);
    const failure = await failureOf(
      db.transaction(async (tx) => {
        await tx.query("insert into things values (1, 'a')");
        await tx.query("insert into things values (1, 'b')").catch(() => {});
      }),
    );
    expect(failure.reason).toBe("taken");
    expect(await db.query("select * from things")).toEqual([]);
  });

  test("tell one of two that wait for each other to try again", async () => {
    const { db } = await open();
    await db.query(THINGS);
    await db.query("insert into things values (1, 'a'), (2, 'b')");
    const both = Promise.withResolvers<void>();
    let arrived = 0;
    const lockBoth = (first: number, second: number) =>
      db.transaction(async (tx) => {
        // Long before either has waited for a lock so long that it gives up by itself.
        await tx.query(
          `select set_config('deadlock_timeout', '50ms', true) from pg_roles
           where rolname = current_user and rolsuper`,
        );
        await tx.query("select 1 from things where id = $1 for update", [first]);
        if (++arrived === 2) both.resolve();
        await both.promise;
        await tx.query("select 1 from things where id = $1 for update", [second]);
      });
    const results = await Promise.allSettled([lockBoth(1, 2), lockBoth(2, 1)]);
    const failed = results.flatMap((result) =>
      result.status === "rejected" ? [AppError.from(result.reason)] : [],
    );
    expect(failed.map(({ code, reason }) => [code, reason])).toEqual([
      ["aborted", "database_conflict"],
    ]);
  });

  test("wait for a lock only so long", async () => {
    const { db } = await open();
    await db.query(THINGS);
    await db.query("insert into things values (1, 'a')");
    await db.transaction(async (tx) => {
      await tx.query("select 1 from things for update");
      const failure = await failureOf(db.query("update things set name = 'b'"));
      expect(failure.reason).toBe("database_unavailable");
    });
    expect(db.ready).toBe(true);
  });
});

describe("a server that is away", () => {
  test("is found when it comes, though it was not there at the start", async () => {
    const { databaseUrl } = await useParts();
    await using proxy = await openTcpProxy(databaseUrl);
    await proxy.cut();
    await using db = await openPostgres({ url: proxy.url, log: createCollectedLog().log });
    expect((await failureOf(db.query("select 1"))).reason).toBe("database_unavailable");
    expect(db.ready).toBe(false);
    await proxy.restore();
    await eventually(() => expect(db.ready).toBe(true));
  });

  test("breaks a running transaction with an error, not the process, and comes back", async () => {
    const { db, proxy } = await open();
    await db.query(THINGS);
    const failure = await failureOf(
      db.transaction(async (tx) => {
        await tx.query("insert into things values (1, 'a')");
        await proxy.cut();
        await tx.query("insert into things values (2, 'b')");
      }),
    );
    expect([failure.code, failure.reason]).toEqual(["unavailable", "database_unavailable"]);
    expect(db.ready).toBe(false);
    await proxy.restore();
    await eventually(() => expect(db.ready).toBe(true));
    expect(await db.query("select * from things")).toEqual([]);
  });

  test("costs no more than the limits when it hangs", async () => {
    const { db, proxy } = await open({ statementTimeoutMs: 2_000 });
    await db.query("select 1");
    proxy.freeze();
    const startedMs = performance.now();
    expect((await failureOf(db.query("select 1"))).reason).toBe("database_unavailable");
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    await proxy.restore();
    await eventually(() => expect(db.ready).toBe(true));
  });

  test("leaves the password out of errors and log", async () => {
    const { log, lines } = createCollectedLog();
    const url = "postgres://user:hunter2-of-postgres@127.0.0.1:1/none";
    await using db = await openPostgres({ url, log });
    const failure = await failureOf(db.query("select 1"));
    expect(`${JSON.stringify(lines)} ${failure.message} ${failure.cause}`).not.toContain("hunter2");
  });
});

describe("migrations", () => {
  /** A folder of files and a way to run them. */
  async function openFolder(files: Record<string, string>) {
    const opened = await open();
    const folder = await mkdtemp(path.join(tmpdir(), "migrations-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    await write(files);
    const run = () => migrate({ url: opened.url, schema: "shop", folder, log: opened.log });
    return { ...opened, folder, write, run };

    async function write(more: Record<string, string>): Promise<void> {
      for (const [name, sql] of Object.entries(more)) await writeFile(path.join(folder, name), sql);
    }
  }

  const ITEMS = "create table shop.items (id integer primary key);";
  const NAMES = "alter table shop.items add column name text; insert into shop.items values (1)";

  test("are applied in order, once", async () => {
    const { db, run, lines } = await openFolder({
      "0001_items.sql": ITEMS,
      "0002_names.sql": NAMES,
    });
    await run();
    await run();
    expect(await db.query("select id, name from shop.items")).toEqual([{ id: 1, name: null }]);
    expect(lines.filter(({ msg }) => msg === "postgres.migrated")).toHaveLength(2);
  });

  test("are safe when several processes migrate at once", async () => {
    const { db, run } = await openFolder({ "0001_items.sql": ITEMS, "0002_names.sql": NAMES });
    await Promise.all([run(), run(), run()]);
    expect(await db.query("select number, name from shop.migrations order by number")).toEqual([
      { number: 1, name: "0001_items.sql" },
      { number: 2, name: "0002_names.sql" },
    ]);
    expect(await db.query("select count(*)::integer as count from shop.items")).toEqual([
      { count: 1 },
    ]);
  });

  test("leave nothing of a file that fails, and go on after it is mended", async () => {
    const broken = "create table shop.parts (id integer); select no_such_function()";
    const { db, run, write } = await openFolder({
      "0001_items.sql": ITEMS,
      "0002_parts.sql": broken,
    });
    await expect(run()).rejects.toMatchObject({ reason: "database_mismatch" });
    expect(await db.query("select to_regclass('shop.parts') as parts")).toEqual([{ parts: null }]);
    await write({ "0002_parts.sql": "create table shop.parts (id integer)" });
    await run();
  });

  test("refuse a file that was changed after it was applied", async () => {
    const { run, write } = await openFolder({ "0001_items.sql": ITEMS });
    await run();
    await write({ "0001_items.sql": `${ITEMS} -- changed` });
    await expect(run()).rejects.toThrow("0001_items.sql was changed");
  });

  test("refuse a new file below an applied one, and an applied one that is gone", async () => {
    const { run, write, folder } = await openFolder({ "0002_items.sql": ITEMS });
    await run();
    await write({ "0001_late.sql": "select 1" });
    await expect(run()).rejects.toThrow("0001_late.sql comes after 0002_items.sql");
    await rm(path.join(folder, "0001_late.sql"));
    await rm(path.join(folder, "0002_items.sql"));
    await write({ "0003_next.sql": "select 1" });
    await expect(run()).rejects.toThrow("0002_items.sql was applied");
  });

  test("let an older version run on a newer schema", async () => {
    const { run, folder } = await openFolder({ "0001_items.sql": ITEMS, "0002_names.sql": NAMES });
    await run();
    await rm(path.join(folder, "0002_names.sql"));
    await run();
  });

  test("refuse names without a number of four digits, and a number twice", async () => {
    const misnamed = await openFolder({ "1_items.sql": ITEMS });
    await expect(misnamed.run()).rejects.toThrow("1_items.sql must be named");
    const twice = await openFolder({ "0001_items.sql": ITEMS, "0001_names.sql": NAMES });
    await expect(twice.run()).rejects.toThrow("its number is taken");
  });

  test("step aside from a locked table and come again", async () => {
    const { db, run, write } = await openFolder({ "0001_items.sql": ITEMS });
    await run();
    await write({ "0002_names.sql": NAMES });
    let migrating: Promise<void> | undefined;
    await db.transaction(async (tx) => {
      await tx.query("lock table shop.items in share mode");
      migrating = run();
      await tx.query("select pg_sleep(2.5)"); // longer than a migration waits for a lock
    });
    await migrating;
    expect(await db.query("select name from shop.items")).toHaveLength(1);
  });
});

describe("the outbox", () => {
  /** An outbox in a database of its own, with a Kafka that the test plays. */
  async function openOutbox() {
    const opened = await open();
    await opened.db.query("create schema shop");
    await opened.db.query(
      `create table shop.outbox (
         id         bigint      generated always as identity primary key,
         topic      text        not null,
         key        text        not null,
         value      bytea,
         headers    jsonb       not null default '{}',
         created_at timestamptz not null default now(),
         refused_reason text
       )`,
    );
    const published: RawRecord[] = [];
    const kafka = { away: false, calls: 0, bytesMax: 1_000 };
    const publish = async (records: readonly RawRecord[]) => {
      kafka.calls += 1;
      if (kafka.away) throw new AppError("unavailable", "log_unavailable", "away");
      if (records.some(({ value }) => (value?.length ?? 0) > kafka.bytesMax)) {
        throw new AppError("invalid_argument", "record_too_large", "too large");
      }
      published.push(...records);
    };
    const relay = async () => {
      const ready = () => !kafka.away;
      const started = await openOutboxRelay({ ...opened, schema: "shop", publish, ready });
      onTestFinished(() => started[Symbol.asyncDispose]());
      return started;
    };
    const add = (...records: RawRecord[]) =>
      opened.db.transaction((tx) => addToOutbox(tx, "shop", records));
    const left = async () => (await opened.db.query("select id from shop.outbox")).length;
    return { ...opened, published, kafka, relay, add, left };
  }

  const record = (key: string, text: string): RawRecord => ({
    topic: "shop.changed.v1",
    key,
    value: Buffer.from(text),
  });
  const textsOf = (records: RawRecord[]) =>
    records.map(({ value }) => Buffer.from(value ?? []).toString());

  test("publishes what was committed, in order, with tombstones and headers, and deletes it", async () => {
    const { add, relay, published, left } = await openOutbox();
    await add(record("a", "1"), { topic: "t", key: "b", value: null, headers: { ce_id: "x" } });
    await add(record("a", "2"));
    await relay();
    await eventually(async () => expect(await left()).toBe(0));
    expect(published).toEqual([
      { topic: "shop.changed.v1", key: "a", value: Buffer.from("1"), headers: {} },
      { topic: "t", key: "b", value: null, headers: { ce_id: "x" } },
      { topic: "shop.changed.v1", key: "a", value: Buffer.from("2"), headers: {} },
    ]);
  });

  test("publishes nothing of a transaction that was rolled back", async () => {
    const { db, add, relay, published } = await openOutbox();
    const failed = db.transaction(async (tx) => {
      await addToOutbox(tx, "shop", [record("a", "never")]);
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    await add(record("a", "after"));
    await relay();
    await eventually(() => expect(textsOf(published)).toEqual(["after"]));
  });

  test("keeps the order of commits although an earlier writer commits late", async () => {
    const { db, add, relay, published } = await openOutbox();
    (await relay()).nudge();
    let second: Promise<void> | undefined;
    await db.transaction(async (tx) => {
      await addToOutbox(tx, "shop", [record("a", "1")]);
      second = add(record("a", "2")); // waits for the first to commit
      await tx.query("select pg_sleep(0.7)");
    });
    await second;
    await eventually(() => expect(textsOf(published)).toEqual(["1", "2"]));
  });

  test("a nudge makes it look at once", async () => {
    const { add, relay, published } = await openOutbox();
    const started = await relay();
    const waits: number[] = [];
    for (let turn = 1; turn <= 10; turn++) {
      await add(record("a", `${turn}`));
      const startedMs = performance.now();
      started.nudge();
      await eventually(() => expect(published).toHaveLength(turn));
      waits.push(performance.now() - startedMs);
    }
    // Each turn begins right behind a look: the next would come half a second later.
    expect(Math.min(...waits)).toBeLessThan(250);
  });

  test("waits as long as Kafka is away, says so once, and loses nothing", async () => {
    const { add, relay, published, kafka, left, lines } = await openOutbox();
    kafka.away = true;
    await add(record("a", "1"));
    await relay();
    await add(record("a", "2"));
    await eventually(() => expect(kafka.calls).toBeGreaterThan(3));
    expect(await left()).toBe(2);
    kafka.away = false;
    await eventually(() => expect(textsOf(published)).toEqual(["1", "2"]));
    await eventually(() => {
      const said = lines.map(({ msg }) => msg).filter((msg) => `${msg}`.startsWith("outbox."));
      expect(said).toEqual(["outbox.waiting", "outbox.recovered"]);
    });
  });

  test("a row that Kafka can never take is set aside, said aloud, and stops no other row", async () => {
    const { db, add, relay, published, lines } = await openOutbox();
    await add(record("a", "1"), record("b", "x".repeat(1_001)), record("a", "2"));
    await add(record("b", "3"));
    await relay();
    await eventually(() => expect(textsOf(published)).toEqual(["1", "2", "3"]));
    const rows = await db.query("select key, refused_reason from shop.outbox");
    expect(rows).toEqual([{ key: "b", refused_reason: "record_too_large" }]);
    const said = lines.filter(({ msg }) => msg === "outbox.row_refused");
    expect(said).toMatchObject([{ severity: "error", key: "b", bytes: 1_001 }]);
  });

  test("publishes as soon as Kafka is ready again, sooner than any wait between rounds", async () => {
    const { add, relay, published, kafka } = await openOutbox();
    kafka.away = true;
    await add(record("a", "1"));
    await relay();
    const nextCall = async () => {
      const { calls } = kafka;
      const sinceMs = performance.now();
      await eventually(() => expect(kafka.calls).toBeGreaterThan(calls));
      return performance.now() - sinceMs;
    };
    for (let count = 0; count < 4; count++) await nextCall(); // the longest wait is reached
    const waitMs = Math.min(await nextCall(), await nextCall(), await nextCall());
    kafka.away = false; // the next wait has just begun
    const sinceMs = performance.now();
    await eventually(() => expect(published).toHaveLength(1));
    expect(performance.now() - sinceMs).toBeLessThan(waitMs);
  });

  test("publishes once and in order although several relays run and many write", async () => {
    const { add, relay, published, left } = await openOutbox();
    const relays = await Promise.all([relay(), relay(), relay()]);
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let turn = 0; turn < 50; turn++) {
        await add(record(`${writer}`, `${writer}:${turn}`));
        for (const started of relays) started.nudge();
      }
    });
    await Promise.all(writers);
    await eventually(async () => expect(await left()).toBe(0));
    for (let writer = 0; writer < 4; writer++) {
      const own = published.filter(({ key }) => key === `${writer}`);
      expect(textsOf(own)).toEqual(Array.from({ length: 50 }, (_, turn) => `${writer}:${turn}`));
    }
  });

  test("comes back after the database was away", async () => {
    const { add, relay, published, left, proxy, url } = await openOutbox();
    await add(record("a", "1"));
    await relay();
    await eventually(async () => expect(await left()).toBe(0)); // else it is published again, as it should
    await proxy.cut();
    await using direct = await openPostgres({ url, log: createCollectedLog().log });
    await direct.transaction((tx) => addToOutbox(tx, "shop", [record("a", "2")]));
    await proxy.restore();
    await eventually(() => expect(textsOf(published)).toEqual(["1", "2"]));
  });
});
