/** The order of creation: the position that each new row gets. */
import type { Db } from "@headgate/kit/postgres";

/**
 * Takes the next position, and holds the row until the transaction ends: what commits later has a higher position. As a
 * CTE named `place` it is `(select last from place)`.
 */
export const NEXT_POSITION = "update registry.positions set last = last + 1 returning last";

/** Runs an insert that returns the position of its row. */
export async function insertOne(db: Db, text: string, values: unknown[]): Promise<bigint> {
  const [row] = await db.query<{ position: string }>(text, values);
  return BigInt(row?.position ?? 0);
}
