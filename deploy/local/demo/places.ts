/** The demo's team, channel and person: found again by id, else made, else found by name. What people ended stays ended. */
import { type Call, type CallerOf, expectBody, findByName, readText } from "../api.ts";
import { LocalFault } from "../fault.ts";
import type { Earlier } from "./earlier.ts";

/** A team, channel or person of the demo. */
export type Place = {
  readonly id: string;
  readonly name: string;
  /** Whether this run made it. */
  readonly isNew: boolean;
  /** Archived or deactivated. */
  readonly isEnded: boolean;
};

/** How many names are tried: `alerts`, `alerts-2`, ... */
const NAMES_MAX = 5;

/**
 * The place of an earlier id while it is there; else a new one; else, when the name is taken, the one of that name in
 * `list`, or a new one with a number behind the name.
 * @param path of the collection @param list the collection, restricted to where the demo may look for the name
 * @throws LocalFault when the API refuses, or all names are taken
 */
export async function findOrMake(
  call: Call,
  wanted: {
    readonly earlierId: string | undefined;
    readonly path: string;
    readonly list?: string;
    readonly form: Readonly<Record<string, string>> & { readonly name: string };
    /** Whether a row that has the earlier id is the right one: of the same team. */
    readonly isRight?: (row: Record<string, unknown>) => boolean;
  },
): Promise<Place> {
  const { earlierId, path, list = path, form, isRight = () => true } = wanted;
  if (earlierId !== undefined) {
    const { status, body } = await call("GET", `${path}/${encodeURIComponent(earlierId)}`);
    if (status === 200 && body && isRight(body)) return toPlace(body, false);
  }
  for (let number = 1; number <= NAMES_MAX; number++) {
    const name = number === 1 ? form.name : `${form.name}-${number}`;
    const answer = await call("POST", path, { ...form, name });
    if (answer.status !== 409) return toPlace(expectBody(answer, `making ${name}`), true);
    const found = await findByName(call, list, name);
    if (found) return toPlace(found, false);
  }
  throw new LocalFault(
    `making ${form.name} failed: the name is taken, and so are those with a number`,
  );
}

function toPlace(row: Record<string, unknown>, isNew: boolean): Place {
  const isEnded = [row.archived_at, row.deactivated_at].some((time) => typeof time === "string");
  return { id: readText(row, "id"), name: readText(row, "name"), isNew, isEnded };
}

/**
 * The person's token of an earlier run while it works; else a new one, made by the person.
 * @returns undefined, with a line in `notes`, when the person cannot log in
 */
export async function readPersonToken(
  callerOf: CallerOf,
  options: { earlier: Earlier; person: Place; password: string; notes: string[] },
): Promise<string | undefined> {
  const { earlier, person, password, notes } = options;
  if (person.isEnded) {
    notes.push(`the demo person "${person.name}" is deactivated: no token is given for them`);
    return undefined;
  }
  const old = earlier.personToken;
  if (old !== undefined) {
    const me = await callerOf(old)("GET", "/me");
    if (me.status === 200 && me.body?.id === person.id) return old;
  }
  const session = await callerOf()("POST", "/sessions", { name: person.name, password });
  if (session.status === 401) {
    notes.push(
      `the password of the demo person "${person.name}" was changed: no token is given for them`,
    );
    return undefined;
  }
  const call = callerOf(readText(expectBody(session, `logging in ${person.name}`), "token"));
  try {
    const made = await call("POST", "/tokens", { name: `demo ${Date.now()}` });
    if (earlier.isThere) notes.push(`the demo person "${person.name}" has a new token`);
    return readText(expectBody(made, "making a token"), "token");
  } finally {
    await call("DELETE", "/sessions/current");
  }
}
