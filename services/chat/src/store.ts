/** Every SQL statement of chat. */
import type { Db } from "@headgate/kit/postgres";
import type { Message } from "@headgate/proto/chat/v1/chat";
import { DRAFT_COLUMNS, draftRow, type MessageRow, readRow } from "./row.ts";
import type { ChatStore } from "./service.ts";

const names = Object.keys(DRAFT_COLUMNS) as (keyof typeof DRAFT_COLUMNS)[];
const drafted = names.join(", ");
const arrays = names.map((name, index) => `$${index + 1}::${DRAFT_COLUMNS[name]}[]`).join(", ");
const columns = `${names.filter((name) => name !== "weight").join(", ")}, position, count, first_at, last_at, edited_at`;

/**
 * One batch. Ids already stored fall out first, so that a redelivery burns no positions; counters are bumped in the order
 * of their ids, so that two batches never wait for each other in a circle; rows are numbered as they came. An id that
 * another process stores at this very moment is left alone, and its position is then a gap.
 *
 * The statement stays planned. Known ids are looked up one by one, by a scalar subquery: as a join, a plan that was made
 * while the table was small would read all of it for every batch ever after.
 */
const INSERT = `
with incoming as (
  select * from unnest(${arrays}) with ordinality as batch (${drafted}, place)
), fresh as (
  select incoming.*,
         row_number() over (partition by channel_id order by place) as rank,
         count(*) over (partition by channel_id) as total
    from incoming
   where (select true from chat.messages known where known.id = incoming.id) is null
), bumped as (
  insert into chat.counters as counter (channel_id, last_position)
  select channel_id, count(*) from fresh group by channel_id order by channel_id
  on conflict (channel_id) do update set last_position = counter.last_position + excluded.last_position
  returning channel_id, last_position
)
insert into chat.messages (${drafted}, position)
select ${names.map((name) => `fresh.${name}`).join(", ")}, bumped.last_position - fresh.total + fresh.rank
  from fresh join bumped using (channel_id)
 order by fresh.place
on conflict (id) do nothing
returning id, position`;

const FIND_ROOTS = `
select id, channel_id, root_id from chat.messages where id = any($1::uuid[])`;

const READ = `select ${columns} from chat.messages where id = any($1::uuid[])`;

/** Bytes (by `weight`) after which a page takes no further message: far below what one rpc can carry. */
const PAGE_WEIGHT_MAX = 4 * 1024 * 1024;

const LIST_NEWEST = pageOf("channel_id = $1", "desc");
const LIST_BEFORE = pageOf("channel_id = $1 and position < $3", "desc");
const LIST_AFTER = pageOf("channel_id = $1 and position > $3", "asc");
const LIST_REPLIES = pageOf("root_id = $1 and position > $3", "asc");

/** The first $2 rows of an order, cut before the one that would make the page too heavy; at least one, if there is one. */
function pageOf(condition: string, direction: "asc" | "desc"): string {
  return `
select ${columns} from (
  select *, sum(weight) over (order by position ${direction}) - weight as weight_before from (
    select * from chat.messages where ${condition} order by position ${direction} limit $2
  ) page
) weighed
 where weight_before < ${PAGE_WEIGHT_MAX}
 order by position ${direction}`;
}

/** The storage of chat in Postgres. */
export function createChatStore(db: Db): ChatStore {
  return { findRoots, insertMessages, readMessages, listMessages, listReplies };

  async function findRoots(ids: readonly string[]) {
    const rows = await db.query<Pick<MessageRow, "id" | "channel_id" | "root_id">>(FIND_ROOTS, [
      ids,
    ]);
    return rows.map((row) => ({
      id: row.id,
      channelId: row.channel_id,
      rootId: row.root_id ?? "",
    }));
  }

  async function insertMessages(messages: readonly Message[]): Promise<Map<string, bigint>> {
    const drafts = messages.map(draftRow);
    const parameters = names.map((name) => drafts.map((draft) => draft[name]));
    const rows = await db.query<Pick<MessageRow, "id" | "position">>(INSERT, parameters, {
      name: "insert-messages",
      summary: "INSERT chat.messages", // the statement itself begins with "with"
    });
    return new Map(rows.map((row) => [row.id, BigInt(row.position)]));
  }

  async function readMessages(ids: readonly string[]): Promise<Message[]> {
    return (await db.query<MessageRow>(READ, [ids])).map(readRow);
  }

  async function listMessages(page: Parameters<ChatStore["listMessages"]>[0]): Promise<Message[]> {
    const { channelId, limit, bound } = page;
    const rows = bound
      ? await db.query<MessageRow>(bound.case === "before" ? LIST_BEFORE : LIST_AFTER, [
          channelId,
          limit,
          String(bound.value),
        ])
      : await db.query<MessageRow>(LIST_NEWEST, [channelId, limit]);
    return rows.map(readRow);
  }

  async function listReplies(page: Parameters<ChatStore["listReplies"]>[0]): Promise<Message[]> {
    const { rootId, limit, after } = page;
    const rows = await db.query<MessageRow>(LIST_REPLIES, [rootId, limit, String(after)]);
    return rows.map(readRow);
  }
}
