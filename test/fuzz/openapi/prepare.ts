/** What a run works with: an administrator and a hook of its own, so that it cannot take away what it needs. */
import type { Demo } from "@headgate/local/demo";

/** A prepared run. */
export type Run = {
  /** For schemathesis.toml and openapi_hooks.py. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether its token still is what it was. */
  readonly isStillAllowed: () => Promise<boolean>;
};

type Made = { readonly id: string; readonly token?: string };

const API = "/api/headgate/v1";
const PASSWORD_BYTES = 24;

/** Makes both in a running system. @throws Error with the answer that was no 201 */
export async function openRun({ url, admin, team }: Demo): Promise<Run> {
  const name = `fuzz-${crypto.randomUUID().slice(0, 8)}`;
  const password = Buffer.from(crypto.getRandomValues(new Uint8Array(PASSWORD_BYTES))).toString(
    "hex",
  );
  const user = await make("/users", admin.token, {
    name,
    password,
    is_system_admin: true,
    team_id: team.id,
  });
  const session = await make("/sessions", undefined, { name, password });
  const { token = "" } = session;
  const made = await make("/tokens", token, { name });
  const bearer = made.token ?? "";
  const channel = await make("/channels", bearer, { team_id: team.id, name });
  const hook = await make("/incoming-hooks", bearer, {
    dialect: "headgate",
    action: "chat_message",
    target: { channel_id: channel.id },
    name,
  });
  return {
    env: {
      FUZZ_TOKEN: bearer,
      FUZZ_HOOK_TOKEN: hook.token ?? "",
      FUZZ_OWN_IDS: [user.id, made.id, channel.id, hook.id, team.id].join(","),
    },
    async isStillAllowed() {
      const answer = await fetch(`${url}${API}/me`, {
        headers: { authorization: `Bearer ${bearer}` },
      });
      const me = (await answer.json()) as { id?: string; is_system_admin?: boolean }; // of whatever answer
      return me.id === user.id && me.is_system_admin === true;
    },
  };

  async function make(path: string, bearerToken: string | undefined, body: object): Promise<Made> {
    const answer = await fetch(url + API + path, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(bearerToken !== undefined && { authorization: `Bearer ${bearerToken}` }),
      },
      body: JSON.stringify(body),
    });
    if (answer.status !== 201) throw new Error(`${path}: ${await answer.text()}`);
    return (await answer.json()) as Made; // a 201 of these paths; a session has no id, and none is asked for
  }
}
