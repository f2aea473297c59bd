-- 0004_offboarding.sql: why a hook was disabled, and which bots were made for a hook.

-- HookDisabledReason of the contract; 0: not disabled, or disabled by a person.
alter table registry.incoming_hooks
  add column disabled_reason smallint not null default 0 check (disabled_reason between 0 and 5);
-- Serves the hooks that a bot writes for, when the bot ends or leaves a team.
create index incoming_hooks_of_bot on registry.incoming_hooks (bot_id) where bot_id is not null;

-- The hook that a bot was made for. No foreign key: the bot outlives the hook, deactivated, because messages name it.
alter table registry.users add column made_for_hook_id uuid check (made_for_hook_id is null or is_bot);
-- Serves the end of a hook.
create index users_made_for_hook on registry.users (made_for_hook_id) where made_for_hook_id is not null;
-- A bot that was made with its hook has the number after the hook's.
update registry.users u set made_for_hook_id = h.id
from registry.incoming_hooks h
where u.is_bot and h.bot_id = u.id and u.number = h.number + 1 and u.created_at = h.created_at;
