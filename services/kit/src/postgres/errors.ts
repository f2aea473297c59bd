/** What Postgres and its driver throw, as AppErrors. Row values never leave here: not in messages, not in causes. */
import pg from "pg";
import { AppError } from "../errors.ts";

/** SQLSTATE classes of a server or connection that is not there for us now: 08 connection, 28 authorisation, 3D database, 53 resources, 57 operator, 58 system. */
const AWAY_CLASSES: ReadonlySet<string> = new Set(["08", "28", "3D", "53", "57", "58"]);
/** Single states of the same kind: lock not available, read-only after a failover, idle transaction ended. */
const AWAY_STATES: ReadonlySet<string> = new Set(["55P03", "25006", "25P03"]);
/** Limits of ours that struck: statement time, lock time. */
const LIMIT_STATES: ReadonlySet<string> = new Set(["57014", "55P03"]);
/** Classes of data that the database refuses: 22 data exception, 23 integrity constraint. */
const DATA_CLASSES: ReadonlySet<string> = new Set(["22", "23"]);
/** Serialisation failure and deadlock. */
const CONFLICT_STATES: ReadonlySet<string> = new Set(["40001", "40P01"]);
/** Classes that say code and schema do not fit together: 42 unknown name or no right, 3F unknown schema. */
const MISMATCH_CLASSES: ReadonlySet<string> = new Set(["42", "3F"]);

/** A database error without row values: its SQLSTATE, and where it happened. */
export class DatabaseFault extends Error {
  override readonly name = "DatabaseFault";
  readonly sqlState: string;
  readonly constraint: string | undefined;

  constructor(error: pg.DatabaseError) {
    const state = error.code ?? "XX000";
    const isData = DATA_CLASSES.has(state.slice(0, 2));
    const place = [error.schema, error.table, error.column ?? error.constraint]
      .filter(Boolean)
      .join(".");
    // The text of a data error quotes the value that was refused; that of any other names what the code asked for.
    super(`SQLSTATE ${state}${place ? ` at ${place}` : ""}${isData ? "" : `: ${error.message}`}`);
    this.sqlState = state;
    this.constraint = error.constraint;
  }
}

/** The name of the constraint that an AppError of this door was thrown for; undefined when it was for none. */
export function constraintOf(thrown: unknown): string | undefined {
  const cause = thrown instanceof AppError ? thrown.cause : undefined;
  return cause instanceof DatabaseFault ? cause.constraint : undefined;
}

/** The AppError for whatever the driver threw. What the driver made without a SQLSTATE is a lost or late connection. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (!(thrown instanceof pg.DatabaseError)) {
    return isProgrammingFault(thrown)
      ? AppError.from(thrown)
      : new AppError("unavailable", "database_unavailable", "The database is not available.", {
          cause: thrown,
        });
  }
  const cause = new DatabaseFault(thrown);
  const state = cause.sqlState;
  const group = state.slice(0, 2);
  if (state === "23505") {
    return new AppError("already_exists", "taken", "It exists already.", { cause });
  }
  if (DATA_CLASSES.has(group)) {
    return new AppError("invalid_argument", "database_rejected", "The data was refused.", {
      cause,
    });
  }
  if (AWAY_CLASSES.has(group) || AWAY_STATES.has(state)) {
    return new AppError("unavailable", "database_unavailable", "The database is not available.", {
      cause,
    });
  }
  if (CONFLICT_STATES.has(state)) {
    return new AppError("aborted", "database_conflict", "Another change came between.", { cause });
  }
  if (MISMATCH_CLASSES.has(group)) {
    return new AppError("unavailable", "database_mismatch", "The database is not prepared.", {
      cause,
    });
  }
  return AppError.from(cause);
}

/** Whether an error says that the connection is gone or not to be trusted; a limit that struck leaves it whole. */
export function isConnectionLost(thrown: unknown): boolean {
  if (!(thrown instanceof AppError) || thrown.reason !== "database_unavailable") return false;
  return !(thrown.cause instanceof DatabaseFault && LIMIT_STATES.has(thrown.cause.sqlState));
}

/** A TypeError and its kin come from our own code, not from the wire. */
function isProgrammingFault(thrown: unknown): boolean {
  return (
    thrown instanceof TypeError ||
    thrown instanceof RangeError ||
    thrown instanceof SyntaxError ||
    thrown instanceof ReferenceError ||
    !(thrown instanceof Error)
  );
}
