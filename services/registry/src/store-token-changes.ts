/** Writes of bearer tokens and sessions within one transaction. */
import type { Db } from "@headgate/kit/postgres";
import type { Changes } from "./service-deps.ts";
import { insertOne, NEXT_POSITION } from "./store-positions.ts";
import { oneById } from "./store-reads.ts";
import { dateOf, TOKEN, type TokenRow, toToken } from "./store-rows.ts";

type TokenChanges = Pick<Changes, "lockToken" | "insertToken" | "revokeTokens" | "forgetSessions">;

/** The part of Changes that is about tokens. */
export function createTokenChanges(db: Db): TokenChanges {
  return {
    async lockToken(id) {
      const text = `select ${TOKEN} from registry.tokens k where id = $1 for no key update`;
      const row = await oneById<TokenRow>(db, text, id);
      return row && toToken(row);
    },
    async insertToken(token, digest, creatorId) {
      return await insertOne(
        db,
        `with place as (${NEXT_POSITION})
         insert into registry.tokens
           (id, user_id, name, digest, hint, is_session, creator_id, created_at, expires_at, position)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, (select last from place)) returning position`,
        [
          token.id,
          token.userId,
          token.name,
          Buffer.from(digest),
          token.hint,
          token.isSession,
          creatorId,
          dateOf(token.createdAt),
          dateOf(token.expiresAt),
        ],
      );
    },
    async revokeTokens(which, at) {
      const isOne = "id" in which;
      const rows = await db.query<{ id: string; user_id: string; digest: Buffer }>(
        `update registry.tokens set revoked_at = $1
         where revoked_at is null and (expires_at is null or expires_at > $1)
           and ${isOne ? "id = $2" : "user_id = $2 and (is_session or not $3)"}
         returning id, user_id, digest`,
        isOne ? [at, which.id] : [at, which.userId, which.onlySessions],
      );
      return rows.map((row) => ({ id: row.id, userId: row.user_id, digest: row.digest }));
    },
    async forgetSessions(userId, endedBefore) {
      await db.query(
        `delete from registry.tokens
         where user_id = $1 and is_session and (expires_at < $2 or revoked_at < $2)`,
        [userId, endedBefore],
      );
    },
  };
}
