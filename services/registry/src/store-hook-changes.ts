/** Writes of incoming hooks and their credentials within one transaction. */
import { isUuid } from "@headgate/kit/ids";
import type { Db } from "@headgate/kit/postgres";
import { HookState, type IncomingHook } from "@headgate/proto/registry/v1/registry";
import type { Changes } from "./service-deps.ts";
import { insertOne, NEXT_POSITION } from "./store-positions.ts";
import { oneById } from "./store-reads.ts";
import { dateOf, HOOK, type HookRow, toHook } from "./store-rows.ts";

type HookChanges = Pick<
  Changes,
  | "lockHook"
  | "lockActiveHooksOf"
  | "insertHook"
  | "saveHook"
  | "deleteHook"
  | "deleteHooksOf"
  | "insertCredential"
  | "retireCredentials"
  | "expireCredentials"
>;

/** The part of Changes that is about hooks. */
export function createHookChanges(db: Db): HookChanges {
  return {
    async lockHook(id) {
      // The lock first and the reading after it: digests are rows of their own, read as they are once the lock is held.
      const text = "select id from registry.incoming_hooks where id = $1 for no key update";
      if (!(await oneById(db, text, id))) return undefined;
      const read = `select ${HOOK} from registry.incoming_hooks h where id = $1`;
      const row = await oneById<HookRow>(db, read, id);
      return row && toHook(row);
    },
    async lockActiveHooksOf(userId) {
      if (!isUuid(userId)) return [];
      // The locks first and the reading after it, as in lockHook; in one order, so that two changes never block each other.
      const text = `select id from registry.incoming_hooks
        where (owner_id = $1 or bot_id = $1) and state = ${HookState.ACTIVE} order by id for no key update`;
      const ids = (await db.query<{ id: string }>(text, [userId])).map(({ id }) => id);
      if (ids.length === 0) return [];
      const read = `select ${HOOK} from registry.incoming_hooks h where id = any($1::uuid[]) order by id`;
      return (await db.query<HookRow>(read, [ids])).map(toHook);
    },
    async insertHook(hook, creatorId) {
      return await insertOne(
        db,
        `with place as (${NEXT_POSITION})
         insert into registry.incoming_hooks
           (id, number, team_id, dialect, action, target_id, name, description, owner_id, bot_id, override_name,
            override_icon_url, target_locked, limit_per_minute, limit_burst, state, hint, creator_id, created_at, updated_at, position)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                 (select last from place)) returning position`,
        [
          hook.id,
          hook.number,
          hook.teamId,
          hook.dialect,
          hook.action,
          ...changeable(hook).slice(0, 3),
          hook.ownerId,
          ...changeable(hook).slice(3),
          creatorId,
          dateOf(hook.createdAt),
          dateOf(hook.updatedAt),
        ],
      );
    },
    async saveHook(hook) {
      await db.query(
        `update registry.incoming_hooks
         set target_id = $2, name = $3, description = $4, bot_id = $5, override_name = $6, override_icon_url = $7,
             target_locked = $8, limit_per_minute = $9, limit_burst = $10, state = $11, hint = $12, updated_at = $13,
             owner_id = $14, disabled_reason = $15
         where id = $1`,
        [hook.id, ...changeable(hook), dateOf(hook.updatedAt), hook.ownerId, hook.disabledReason],
      );
    },
    async deleteHook(id) {
      await db.query("delete from registry.incoming_hooks where id = $1", [id]);
    },
    async deleteHooksOf(targetId, dialects) {
      const rows = await db.query<{ id: string }>(
        "delete from registry.incoming_hooks where target_id = $1 and dialect = any($2) returning id",
        [targetId, [...dialects]],
      );
      return rows.map(({ id }) => id);
    },
    async insertCredential(hookId, { digest, sealed, createdAt }) {
      await db.query(
        "insert into registry.hook_credentials (digest, hook_id, sealed, created_at) values ($1, $2, $3, $4)",
        [Buffer.from(digest), hookId, sealed ? Buffer.from(sealed) : null, createdAt],
      );
    },
    async retireCredentials(hookId, until) {
      await db.query(
        "delete from registry.hook_credentials where hook_id = $1 and (expires_at is not null or $2)",
        [hookId, until === undefined],
      );
      if (until === undefined) return;
      const text = "update registry.hook_credentials set expires_at = $2 where hook_id = $1";
      await db.query(text, [hookId, until]);
    },
    async expireCredentials(at, limit) {
      // Hooks that somebody is changing are left to the next round.
      const rows = await db.query<{ hook_id: string }>(
        `with due as (
           select h.id from registry.incoming_hooks h
           where h.id in (select hook_id from registry.hook_credentials where expires_at <= $1)
           order by h.id limit $2 for no key update skip locked)
         delete from registry.hook_credentials k using due
         where k.hook_id = due.id and k.expires_at <= $1 returning k.hook_id`,
        [at, limit],
      );
      return [...new Set(rows.map((row) => row.hook_id))];
    },
  };
}

/** What an update may set: target, name, description, bot, overrides, lock, limits, state, hint. */
function changeable(hook: IncomingHook): unknown[] {
  return [
    hook.targetId,
    hook.name,
    hook.description,
    hook.botId || null,
    hook.overrideName,
    hook.overrideIconUrl,
    hook.targetLocked,
    hook.limits?.perMinute ?? null,
    hook.limits?.burst ?? null,
    hook.state,
    hook.hint,
  ];
}
