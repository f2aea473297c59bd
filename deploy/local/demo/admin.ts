/** Which credentials of the first admin still work: people revoke tokens, change passwords and deactivate accounts. */
import { randomBytes } from "node:crypto";
import { type Call, type CallerOf, expectBody, readText } from "../api.ts";
import type { Secrets } from "../secrets.ts";

/** How to make the admin's account usable again, for lines that say that it is not. */
export const RECOVER_COMMAND = "npm start -- --recover-admin";

/** What works. */
export type Admin = {
  /** A token of a system admin; undefined when none is known. */
  readonly token: string | undefined;
  /** Whether the token was made just now, because the one in secrets.json does not work any more. */
  readonly isNewToken: boolean;
  /** The password; undefined when the API does not take the one in secrets.json. */
  readonly password: string | undefined;
};

/**
 * Tries the token and the password of secrets.json. When only the password works, it makes a new token by it.
 * @param notes gets a line for each that does not work
 */
export async function checkAdmin(
  callerOf: CallerOf,
  secrets: Secrets,
  notes: string[],
): Promise<Admin> {
  const { adminName: name, adminPassword: password } = secrets;
  const [me, session] = await Promise.all([
    callerOf(secrets.adminToken)("GET", "/me"),
    callerOf()("POST", "/sessions", { name, password }),
  ]);
  const isAdmin = me.status === 200 && me.body?.is_system_admin === true;
  if (session.status >= 300) {
    if (isAdmin) notes.push(describePassword(session.status));
    else notes.push(describeAbsence(name, me.status === 401 ? session.status : me.status));
    return {
      token: isAdmin ? secrets.adminToken : undefined,
      isNewToken: false,
      password: undefined,
    };
  }
  const call = callerOf(readText(expectBody(session, "logging in the admin"), "token"));
  try {
    const user = session.body?.user as { is_system_admin?: unknown } | undefined; // read with care
    if (user?.is_system_admin !== true) {
      notes.push(describeAbsence(name, 200));
      return { token: undefined, isNewToken: false, password };
    }
    if (isAdmin) return { token: secrets.adminToken, isNewToken: false, password };
    notes.push("the first token of the admin was revoked: a new one was made");
    return { token: await makeToken(call), isNewToken: true, password };
  } finally {
    await call("DELETE", "/sessions/current");
  }
}

/** A token for later runs. Live tokens of one account have different names. */
async function makeToken(call: Call): Promise<string> {
  const name = `npm start ${randomBytes(4).toString("hex")}`;
  return readText(expectBody(await call("POST", "/tokens", { name }), "making a token"), "token");
}

function describePassword(status: number): string {
  return status === 401
    ? "the password of the admin was changed: it is not shown"
    : `the password of the admin could not be checked (the API answered ${status}): it is not shown`;
}

/** Why no token of an admin is known. `status`: what the API answered to the token, else to the password. */
function describeAbsence(name: string, status: number): string {
  if (status !== 401 && status !== 200) {
    return `the API answered ${status} to the credentials of "${name}": the demo was not checked`;
  }
  const why =
    status === 401
      ? `token and password of "${name}" do not work (changed, the account deactivated, or another database)`
      : `"${name}" is not a system admin any more`;
  return `${why}: the demo was not checked; use another admin's account, or make "${name}" an active system admin with a new password: ${RECOVER_COMMAND}`;
}
