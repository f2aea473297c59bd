-- 0001_people.sql: who there is: people and bots, their teams, their tokens.
create schema if not exists registry;

-- One row for ever: the next integer nobody has. Blocks are taken by one update, so that they never overlap; taken
-- outside of the transactions that use them, so that nobody waits for the row. Gaps are allowed.
create table registry.numbers (
  only_row boolean primary key default true check (only_row),
  next     bigint  not null check (next > 0)
);
insert into registry.numbers (next) values (1);

create table registry.teams (
  id           uuid        primary key,
  number       bigint      not null unique,
  name         text        not null unique check (name ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
  display_name text        not null,
  host         text        not null default '',
  zone         text        not null default 'UTC',
  creator_id   uuid        not null,
  created_at   timestamptz not null,
  updated_at   timestamptz not null
);

-- People and bots share one space of names.
create table registry.users (
  id              uuid        primary key,
  number          bigint      not null unique,
  name            text        not null unique check (name ~ '^[a-z0-9._-]{1,64}$'),
  display_name    text        not null,
  email           text        not null default '',
  is_bot          boolean     not null,
  owner_id        uuid        references registry.users (id),
  is_system_admin boolean     not null default false check (not (is_bot and is_system_admin)),
  icon_url        text        not null default '',
  -- scrypt, with its parameters and salt; null: cannot log in.
  password_hash   text,
  creator_id      uuid        not null,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  deactivated_at  timestamptz,
  check (is_bot = (owner_id is not null))
);
-- Serves the bots of an owner in ListUsers.
create index users_owned on registry.users (owner_id, id) where owner_id is not null;

-- role: TeamRole of the contract: 1 guest, 2 member, 3 admin.
create table registry.team_members (
  team_id    uuid        not null references registry.teams (id),
  user_id    uuid        not null references registry.users (id),
  role       smallint    not null check (role between 1 and 3),
  created_at timestamptz not null,
  primary key (team_id, user_id)
);
-- Serves the teams of a user, in every rule.
create index team_members_of_user on registry.team_members (user_id, team_id);

-- Bearer tokens and sessions. The secret is kept nowhere: its SHA-256 finds it.
create table registry.tokens (
  id           uuid        primary key,
  user_id      uuid        not null references registry.users (id),
  name         text        not null,
  digest       bytea       not null unique check (octet_length(digest) = 32),
  hint         text        not null,
  is_session   boolean     not null,
  creator_id   uuid        not null,
  created_at   timestamptz not null,
  expires_at   timestamptz,
  last_used_at timestamptz,
  revoked_at   timestamptz
);
-- Serves ListTokens.
create index tokens_of_user on registry.tokens (user_id, id);
-- A name tells the live tokens of one user apart.
create unique index tokens_name on registry.tokens (user_id, lower(name)) where not is_session and revoked_at is null;
