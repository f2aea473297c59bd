-- 0001_messages.sql: one row per message of a channel. The id is the event's, so a redelivery writes nothing.
create schema if not exists chat;

-- The last position given out in each channel. Its row lock, held until the batch is committed, is what makes positions
-- become visible in order: a reader that walks by `after` cannot step over one that is still being written.
create table chat.counters (
  channel_id     uuid   primary key,
  last_position  bigint not null check (last_position > 0)
) with (fillfactor = 50); -- room for the next version of the row in its own page

create table chat.messages (
  id            uuid        primary key,
  channel_id    uuid        not null,
  team_id       uuid        not null,
  position      bigint      not null check (position > 0), -- place in the channel, in the order of the log, with gaps
  number        bigint,                                    -- integer id of dialects that speak in integers
  accepted_at   timestamptz not null,                      -- the event's, never this database's clock
  root_id       uuid,                                      -- null: a root message; never names a reply
  text          text        not null,
  title         text        not null,
  severity      smallint    not null,                      -- headgate.event.v1.Severity
  kind          text        not null,                      -- the dialect's own kind; empty: an ordinary message
  author_type   smallint    not null,                      -- headgate.event.v1.AuthorType
  author_id     uuid,
  author_name   text        not null,
  dialect       text        not null,
  hook_id       uuid,                                      -- null: written by a person or a service
  props         text,                                      -- JSON text as the sender wrote it
  trace_id      text        not null,
  extras        jsonb,                                     -- what only some messages have; see src/row.ts
  weight        integer     not null,                      -- about how many bytes the texts above have; bounds pages
  -- Folding: what is folded into a message changes these, and nothing above but the content.
  dedup_key     text,                                      -- null: never folded
  alert_status  smallint    not null,                      -- headgate.event.v1.AlertStatus
  fold_seconds  integer     not null,                      -- 0: the default window
  count         integer     not null default 1 check (count > 0),
  first_at      timestamptz,
  last_at       timestamptz,
  edited_at     timestamptz
);

-- Serves ListMessages in both directions, and holds the promise that no position is given twice.
create unique index messages_position on chat.messages (channel_id, position);

-- Serves ListReplies: oldest first below one root.
create index messages_replies on chat.messages (root_id, position) where root_id is not null;
