/** Rooms to storm: a team of their own, a channel and a hook for each dialect, and what readers find there afterwards. */
import type { System } from "../support/system.ts";

/** A channel with a hook that writes to it. */
export type Room = { readonly channelIds: readonly string[]; readonly hookPath: string };

/** A message as readers see it, as far as it is looked at here. */
export type Message = {
  readonly id: string;
  readonly number: number | null;
  readonly text: string | null;
  readonly position: number;
};

/** A dialect with hooks. */
export type DialectName = "headgate" | "mattermost" | "monotree";

const API = "/api/headgate/v1";
const PAGE = 200;
/** More than any storm sends: what is looked for are faults, not refusals. */
const LIMITS = { per_minute: 6_000_000, burst: 1_000_000 };

/**
 * Opens a room for each dialect. In their team is another channel, `fuzz-other`, that Mattermost's senders may name; it
 * belongs to Mattermost's room.
 */
export async function openRooms({ url, admin }: System): Promise<Record<DialectName, Room>> {
  const suffix = crypto.randomUUID();
  const team = await ask("/teams", { name: `fuzz-${suffix}` });
  const other = await ask("/channels", { team_id: team.id, name: "fuzz-other" });
  return {
    headgate: await openRoom("headgate"),
    mattermost: await openRoom("mattermost", other.id),
    monotree: await openRoom("monotree"),
  };

  async function openRoom(dialect: DialectName, ...more: string[]): Promise<Room> {
    const channel = await ask("/channels", { team_id: team.id, name: `${dialect}-${suffix}` });
    const hook = await ask("/incoming-hooks", {
      dialect,
      action: "chat_message",
      target: { channel_id: channel.id },
      name: dialect,
      limits: LIMITS,
    });
    return { channelIds: [channel.id, ...more], hookPath: new URL(hook.url ?? "").pathname };
  }

  async function ask(path: string, body: object): Promise<{ id: string; url?: string }> {
    const answer = await fetch(url + API + path, {
      method: "POST",
      headers: { authorization: `Bearer ${admin.token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.status !== 201) throw new Error(`${path}: ${await answer.text()}`);
    return (await answer.json()) as { id: string; url?: string }; // a 201 of these paths holds them
  }
}

/** Every message of a room, oldest first within a channel. */
export async function readMessages({ url, admin }: System, room: Room): Promise<Message[]> {
  const messages: Message[] = [];
  for (const id of room.channelIds) {
    for (let after = 0; ; ) {
      const path = `${API}/channels/${id}/messages?limit=${PAGE}&after=${after}`;
      const answer = await fetch(url + path, {
        headers: { authorization: `Bearer ${admin.token}` },
      });
      if (answer.status !== 200) throw new Error(`${path}: ${await answer.text()}`);
      const page = (await answer.json()) as { data: Message[]; next: number }; // a 200 of a list
      messages.push(...page.data);
      if (page.data.length === 0) break;
      after = page.next;
    }
  }
  return messages;
}
