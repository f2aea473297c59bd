/**
 * Makes what the hostile bench needs in a running system: quiet hooks in a channel of their own, and a hook of the
 * attacker, who is the demo's person.
 */
import type { System } from "@headgate/local/system";
import { createAsk } from "../ask.ts";
import type { Target } from "./means.ts";
import type { QuietTarget } from "./quiet.ts";

/** The quiet senders' hooks, and the attacker's hook and person. Neither shares a channel with the other. */
export async function prepareTargets(
  system: System,
): Promise<{ readonly quiet: QuietTarget; readonly target: Target }> {
  const { demo, url } = system;
  const ask = createAsk(system);
  const port = Number(new URL(url).port);
  const team = { team_id: demo.team.id };
  const hook = async (dialect: string, channelId: unknown, name: string) => {
    const target = { channel_id: channelId };
    const body = { dialect, action: "chat_message", target, name };
    return new URL(String((await ask("POST", "/incoming-hooks", body)).url)).pathname;
  };
  const quietChannel = await ask("POST", "/channels", {
    ...team,
    name: "quiet",
    display_name: "Quiet",
  });
  const busyChannel = await ask("POST", "/channels", {
    ...team,
    name: "busy",
    display_name: "Busy",
  });
  return {
    quiet: {
      port,
      token: demo.admin.token,
      paths: {
        headgate: await hook("headgate", quietChannel.id, "quiet-headgate"),
        mattermost: await hook("mattermost", quietChannel.id, "quiet-mattermost"),
        monotree: await hook("monotree", quietChannel.id, "quiet-monotree"),
      },
    },
    target: {
      port,
      hookPath: await hook("headgate", busyChannel.id, "busy"),
      token: demo.person.token,
    },
  };
}
