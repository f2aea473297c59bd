-- 0002_places_and_hooks.sql: channels, who is in them, and the hooks that write into them.
create table registry.channels (
  id           uuid        primary key,
  number       bigint      not null unique,
  team_id      uuid        not null references registry.teams (id),
  name         text        not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
  display_name text        not null,
  is_private   boolean     not null,
  creator_id   uuid        not null,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  archived_at  timestamptz,
  -- Serves look-ups by name too.
  unique (team_id, name)
);
-- Serves ListChannels of one team.
create index channels_of_team on registry.channels (team_id, id);

create table registry.channel_members (
  channel_id uuid        not null references registry.channels (id),
  user_id    uuid        not null references registry.users (id),
  created_at timestamptz not null,
  primary key (channel_id, user_id)
);
-- Serves the channels of a user, in rules and when one leaves a team.
create index channel_members_of_user on registry.channel_members (user_id, channel_id);

-- action and state: HookAction and HookState of the contract. A hook that was deleted has no row.
create table registry.incoming_hooks (
  id                uuid        primary key,
  number            bigint      not null unique,
  team_id           uuid        not null references registry.teams (id),
  dialect           text        not null,
  action            smallint    not null check (action between 1 and 4),
  target_id         uuid        not null,
  name              text        not null,
  description       text        not null,
  owner_id          uuid        not null references registry.users (id),
  bot_id            uuid        references registry.users (id),
  override_name     text        not null,
  override_icon_url text        not null,
  target_locked     boolean     not null,
  limit_per_minute  integer     check (limit_per_minute between 1 and 6000000),
  limit_burst       integer     check (limit_burst between 1 and 1000000),
  state             smallint    not null check (state between 1 and 3),
  -- Last four characters of the newest credential.
  hint              text        not null,
  creator_id        uuid        not null,
  created_at        timestamptz not null,
  updated_at        timestamptz not null,
  last_used_at      timestamptz,
  check ((limit_per_minute is null) = (limit_burst is null))
);
-- Serves ListIncomingHooks of one team, and of one owner.
create index incoming_hooks_of_team on registry.incoming_hooks (team_id, id);
create index incoming_hooks_of_owner on registry.incoming_hooks (owner_id, id);
-- Serves the archiving of a channel.
create index incoming_hooks_of_target on registry.incoming_hooks (target_id, id);

-- The live credentials of a hook: one, and the one before it while a rotation's grace lasts.
create table registry.hook_credentials (
  -- SHA-256 of the credential as the dialect writes it.
  digest     bytea       primary key check (octet_length(digest) = 32),
  hook_id    uuid        not null references registry.incoming_hooks (id) on delete cascade,
  -- AES-256-GCM of the credential, where the dialect must show it again; null elsewhere.
  sealed     bytea,
  created_at timestamptz not null,
  -- null: lives as long as the hook.
  expires_at timestamptz
);
-- Serves the digests of a hook.
create index hook_credentials_of_hook on registry.hook_credentials (hook_id, created_at, digest);
-- Serves the sweep of those whose grace is over.
create index hook_credentials_expiring on registry.hook_credentials (expires_at) where expires_at is not null;
