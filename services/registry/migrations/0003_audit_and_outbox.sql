-- 0003_audit_and_outbox.sql: what was changed and by whom, and what the others have yet to hear of it.

-- One row per management change. Never a secret, nor a digest of one.
create table registry.audit (
  id         uuid        primary key,
  at         timestamptz not null,
  -- The nil UUID: the registry itself.
  actor_id   uuid        not null,
  -- "<kind>.<what was done>": channel.archived.
  action     text        not null,
  -- The key of the subject's record: "channel:<uuid>".
  subject    text        not null,
  before     jsonb,
  after      jsonb,
  trace_id   text        not null default ''
);
-- Serves the history of one thing.
create index audit_of_subject on registry.audit (subject, id);

-- Records on their way to registry.changed.v1, in order; the relay publishes and removes them.
create table registry.outbox (
  id         bigint      generated always as identity primary key,
  topic      text        not null,
  key        text        not null,
  value      bytea,
  headers    jsonb       not null default '{}',
  created_at timestamptz not null default now()
);
