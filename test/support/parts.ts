/** The real Kafka, PostgreSQL and Redis of this test run. */

import { createLog } from "@headgate/kit/log";
import { openPostgres } from "@headgate/kit/postgres";
import { inject } from "vitest";
import { eventually } from "./eventually.ts";
import type {} from "./global-setup.ts";

/** Where the parts are: shared by the whole run, so use topics, groups, databases and keys of your own. */
export async function useParts(): Promise<{
  kafkaBrokers: string[];
  databaseUrl: string;
  redisUrl: string;
}> {
  return inject("parts");
}

/**
 * Makes an empty database on the server of `url`; one of that name is dropped first.
 * @param name lower-case letters, digits and underscores
 * @returns the URL of the new database
 */
export async function freshDatabase(url: string, name: string): Promise<string> {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(name)) throw new Error(`${name} is no name for a database`);
  const log = createLog({ service: "test", level: "error" });
  await using db = await openPostgres({ url, poolMax: 1, statementTimeoutMs: 60_000, log });
  await eventually(() => db.query("select 1")); // a busy server may be slow to take the first connection
  await db.query(`drop database if exists ${name} with (force)`);
  await db.query(`create database ${name}`);
  const fresh = new URL(url);
  fresh.pathname = `/${name}`;
  return fresh.href;
}
