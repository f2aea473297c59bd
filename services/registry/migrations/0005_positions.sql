-- 0005_positions.sql: the order of creation, by which every list goes.

-- One row for ever. A creation takes the next position by an update of this row, which it holds until it commits: a row
-- that becomes visible later never has a lower position, so a poller that goes on from its last position misses none.
create table registry.positions (
  only_row boolean primary key default true check (only_row),
  last     bigint  not null check (last >= 0)
);

alter table registry.teams           add column position bigint;
alter table registry.users           add column position bigint;
alter table registry.team_members    add column position bigint;
alter table registry.tokens          add column position bigint;
alter table registry.channels        add column position bigint;
alter table registry.channel_members add column position bigint;
alter table registry.incoming_hooks  add column position bigint;

-- What is there already: by time of creation, then by id. Positions of two tables may be equal; they are never compared.
update registry.teams x set position = o.place
from (select id, row_number() over (order by created_at, id) as place from registry.teams) o where o.id = x.id;
update registry.users x set position = o.place
from (select id, row_number() over (order by created_at, id) as place from registry.users) o where o.id = x.id;
update registry.tokens x set position = o.place
from (select id, row_number() over (order by created_at, id) as place from registry.tokens) o where o.id = x.id;
update registry.channels x set position = o.place
from (select id, row_number() over (order by created_at, id) as place from registry.channels) o where o.id = x.id;
update registry.incoming_hooks x set position = o.place
from (select id, row_number() over (order by created_at, id) as place from registry.incoming_hooks) o where o.id = x.id;
update registry.team_members x set position = o.place
from (select team_id, user_id, row_number() over (order by created_at, team_id, user_id) as place
      from registry.team_members) o
where o.team_id = x.team_id and o.user_id = x.user_id;
update registry.channel_members x set position = o.place
from (select channel_id, user_id, row_number() over (order by created_at, channel_id, user_id) as place
      from registry.channel_members) o
where o.channel_id = x.channel_id and o.user_id = x.user_id;

insert into registry.positions (last)
select greatest(
  (select count(*) from registry.teams), (select count(*) from registry.users),
  (select count(*) from registry.tokens), (select count(*) from registry.channels),
  (select count(*) from registry.incoming_hooks), (select count(*) from registry.team_members),
  (select count(*) from registry.channel_members));

alter table registry.teams           alter column position set not null;
alter table registry.users           alter column position set not null;
alter table registry.team_members    alter column position set not null;
alter table registry.tokens          alter column position set not null;
alter table registry.channels        alter column position set not null;
alter table registry.channel_members alter column position set not null;
alter table registry.incoming_hooks  alter column position set not null;

-- Each serves its list, in place of the index by id.
create unique index teams_positions on registry.teams (position);
create unique index users_positions on registry.users (position);
create unique index channels_positions on registry.channels (position);
create unique index incoming_hooks_positions on registry.incoming_hooks (position);
create unique index team_members_positions on registry.team_members (team_id, position);
create unique index channel_members_positions on registry.channel_members (channel_id, position);
drop index registry.users_owned;
create index users_owned on registry.users (owner_id, position) where owner_id is not null;
drop index registry.tokens_of_user;
create unique index tokens_of_user on registry.tokens (user_id, position);
drop index registry.channels_of_team;
create unique index channels_of_team on registry.channels (team_id, position);
drop index registry.incoming_hooks_of_team;
create unique index incoming_hooks_of_team on registry.incoming_hooks (team_id, position);
drop index registry.incoming_hooks_of_owner;
create index incoming_hooks_of_owner on registry.incoming_hooks (owner_id, position);
drop index registry.incoming_hooks_of_target;
create index incoming_hooks_of_target on registry.incoming_hooks (target_id, position);
