import { expect, test } from "vitest";
import { summarise } from "./query.ts";

test.each([
  ["select 1", "SELECT"],
  ["select id from chat.messages where id = $1", "SELECT chat.messages"],
  ["insert into chat.messages (id) values ($1)", "INSERT chat.messages"],
  ["update chat.counters as c set last = 1", "UPDATE chat.counters"],
  ["delete from registry.outbox where id = any($1)", "DELETE registry.outbox"],
  ["select id from chat.messages for update", "SELECT chat.messages"],
  [
    "-- select from nowhere\nwith fresh as (select * from unnest($1)) insert into chat.messages select * from fresh",
    "INSERT chat.messages",
  ],
  ["create table chat.things ()", "CREATE"],
])("calls %j %s", (text, summary) => {
  expect(summarise(text)).toBe(summary);
});
