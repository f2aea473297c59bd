/** Migrations: numbered SQL files, forward only, each in one transaction, by one process at a time. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import pg from "pg";
import { type Backoff, retry } from "../backoff.ts";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import { DatabaseFault, toAppError } from "./errors.ts";

/** Ms a statement of a migration waits for a lock before it steps aside for the traffic. Operations J8. */
const LOCK_MS = 2_000;
/** Ms to wait while another process migrates. */
const TURN_MS = 60_000;
/** Ms one file may take. */
const FILE_MS = 600_000;
/** Tries of a file that found a table locked. */
const TRIES: Backoff & { attemptsMax: number } = { attemptsMax: 10, firstMs: 200, mostMs: 5_000 };

type File = { number: number; name: string; sql: string; checksum: string };
type Applied = { number: number; name: string; checksum: string };

/**
 * Brings a schema up to date: makes it if need be, then applies each `NNNN_<what>.sql` of the folder that
 * `<schema>.migrations` does not list, in order. Two at once are safe: the second finds nothing left to do.
 * Rows with higher numbers than the folder has are left alone: an older version runs on a newer schema.
 * @throws Error when a file is misnamed, a number is given twice, an applied file was changed or is gone, or a new
 * file has a lower number than an applied one; AppError when the database is away or refuses a file
 */
export async function migrate(options: {
  url: string;
  schema: string;
  folder: string;
  log: Log;
}): Promise<void> {
  const { schema, log } = options;
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(schema)) throw new Error(`${schema} is no schema name`);
  const files = await readFiles(options.folder);
  const client = new pg.Client({
    connectionString: options.url,
    connectionTimeoutMillis: 5_000,
    query_timeout: FILE_MS + TURN_MS,
  });
  client.on("error", () => {}); // the statement under way reports it
  try {
    await client.connect();
    await inTurn(client, schema, () => prepare(client, schema));
    for (const file of files) {
      const isNew = await retry(() => inTurn(client, schema, () => apply(client, schema, file)), {
        ...TRIES,
        isFinal: (thrown) => !isLocked(thrown),
      });
      if (isNew) log.info("postgres.migrated", { schema, migration: file.name });
    }
    await inTurn(client, schema, () => compare(client, schema, files));
  } catch (thrown) {
    throw thrown instanceof MigrationError ? thrown : toAppError(thrown);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Files and table do not belong together; no retry helps. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

async function readFiles(folder: string): Promise<File[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  const files: File[] = [];
  for (const name of names) {
    const number = Number(/^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)?.[1]);
    if (!number) throw new MigrationError(`${name} must be named NNNN_what_it_does.sql, from 0001`);
    if (files.at(-1)?.number === number) throw new MigrationError(`${name}: its number is taken`);
    const sql = await readFile(path.join(folder, name), "utf8");
    files.push({ number, name, sql, checksum: createHash("sha256").update(sql).digest("hex") });
  }
  return files;
}

/**
 * Runs `work` in a transaction that no other migrating process of the schema shares. The lock belongs to the
 * transaction, not to the session, so that a pooler between is harmless.
 */
async function inTurn<T>(client: pg.Client, schema: string, work: () => Promise<T>): Promise<T> {
  await client.query(
    `begin; set local statement_timeout = ${FILE_MS}; set local lock_timeout = ${TURN_MS}`,
  );
  try {
    await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [
      `headgate.migrate.${schema}`,
    ]);
    await client.query(`set local lock_timeout = ${LOCK_MS}`);
    const result = await work();
    await client.query("commit");
    return result;
  } catch (thrown) {
    await client.query("rollback").catch(() => {}); // a lost connection rolls back by itself
    throw thrown instanceof MigrationError ? thrown : toAppError(thrown);
  }
}

async function prepare(client: pg.Client, schema: string): Promise<void> {
  // Asked for first: who may only use the schema, not make it, can still find nothing to do.
  const { rows } = await client.query("select to_regclass($1) is not null as exists", [
    `${schema}.migrations`,
  ]);
  if (rows[0]?.exists) return;
  await client.query(`create schema if not exists ${schema}`);
  await client.query(
    `create table ${schema}.migrations (
       number     integer     primary key,
       name       text        not null,
       checksum   text        not null,
       applied_at timestamptz not null default now()
     )`,
  );
}

/** Applies a file unless it is listed. Returns whether it was applied now. */
async function apply(client: pg.Client, schema: string, file: File): Promise<boolean> {
  const { rows } = await client.query<Applied>(
    `select number, name, checksum from ${schema}.migrations where number >= $1 order by number`,
    [file.number],
  );
  const listed = rows[0]?.number === file.number ? rows[0] : undefined;
  if (listed) {
    if (listed.checksum === file.checksum) return false;
    throw new MigrationError(`${file.name} was changed after it was applied to ${schema}`);
  }
  if (rows[0]) {
    throw new MigrationError(`${file.name} comes after ${rows[0].name} was applied to ${schema}`);
  }
  await client.query(file.sql);
  await client.query(
    `insert into ${schema}.migrations (number, name, checksum) values ($1, $2, $3)`,
    [file.number, file.name, file.checksum],
  );
  return true;
}

/** Finds applied files that are gone from the folder, unless they are newer than all of it. */
async function compare(client: pg.Client, schema: string, files: File[]): Promise<void> {
  const { rows } = await client.query<Applied>(
    `select number, name, checksum from ${schema}.migrations where number < $1 order by number`,
    [files.at(-1)?.number ?? 0],
  );
  const numbers = new Set(files.map(({ number }) => number));
  const gone = rows.find(({ number }) => !numbers.has(number));
  if (gone) throw new MigrationError(`${gone.name} was applied to ${schema} but is gone`);
}

function isLocked(thrown: unknown): boolean {
  return (
    thrown instanceof AppError &&
    thrown.cause instanceof DatabaseFault &&
    thrown.cause.sqlState === "55P03"
  );
}
