import { createLog } from "@headgate/kit/log";
import { openPostgres } from "@headgate/kit/postgres";
import { expect, test } from "vitest";
import { freshDatabase, useParts } from "../support/parts.ts";

test("a fresh database is empty, whatever was in one of its name", async () => {
  const { databaseUrl } = await useParts();
  const log = createLog({ service: "test", level: "error" });
  for (let round = 0; round < 2; round++) {
    const url = await freshDatabase(databaseUrl, "test_parts");
    await using db = await openPostgres({ url, log });
    await db.query("create table things (id int primary key)");
    expect(await db.query("select id from things")).toEqual([]);
  }
});
