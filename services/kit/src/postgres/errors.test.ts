import pg from "pg";
import { expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { constraintOf, isConnectionLost, toAppError } from "./errors.ts";

/** What the driver throws for an error reply. */
function buildError(code: string, more: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError("a text with a value", 0, "error"), { code, ...more });
}

test.each([
  ["23505", "already_exists", "taken"],
  ["23503", "invalid_argument", "database_rejected"],
  ["22P05", "invalid_argument", "database_rejected"],
  ["57P01", "unavailable", "database_unavailable"],
  ["57014", "unavailable", "database_unavailable"],
  ["53300", "unavailable", "database_unavailable"],
  ["08006", "unavailable", "database_unavailable"],
  ["28P01", "unavailable", "database_unavailable"],
  ["55P03", "unavailable", "database_unavailable"],
  ["25006", "unavailable", "database_unavailable"],
  ["40P01", "aborted", "database_conflict"],
  ["42P01", "unavailable", "database_mismatch"],
  ["XX000", "internal", "internal"],
])("takes SQLSTATE %s for %s %s", (state, code, reason) => {
  const error = toAppError(buildError(state));
  expect([error.code, error.reason]).toEqual([code, reason]);
});

test("takes what the socket throws for a database that is away, and a fault of ours for one", () => {
  expect(toAppError(new Error("Connection terminated unexpectedly")).code).toBe("unavailable");
  expect(toAppError(new TypeError("x is not a function")).code).toBe("internal");
});

test("leaves an AppError as it is", () => {
  const error = new AppError("not_found", "channel_unknown", "There is no such channel.");
  expect(toAppError(error)).toBe(error);
});

test("tells the constraint and keeps the value to itself", () => {
  const error = toAppError(
    buildError("23505", { constraint: "users_name_key", detail: "Key (name)=(x) exists." }),
  );
  expect(constraintOf(error)).toBe("users_name_key");
  expect(String(error.cause)).toBe("DatabaseFault: SQLSTATE 23505 at users_name_key");
  expect(constraintOf(new Error("else"))).toBeUndefined();
});

test("trusts a connection on which a limit struck, and none that was ended", () => {
  expect(isConnectionLost(toAppError(buildError("57014")))).toBe(false);
  expect(isConnectionLost(toAppError(buildError("57P01")))).toBe(true);
  expect(isConnectionLost(toAppError(new Error("ECONNRESET")))).toBe(true);
  expect(isConnectionLost(toAppError(buildError("23505")))).toBe(false);
});
