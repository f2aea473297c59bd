/** What the registry does of itself: ending credentials whose grace is over, healing a lost topic and old leftovers. */
import type { Channel, Team } from "@headgate/proto/registry/v1/registry";
import { withdrawAccess } from "./service-access-loss.ts";
import { actAsOperator, announced } from "./service-change.ts";
import type { Announcement, Deps, Window } from "./service-deps.ts";

/** Hooks looked after in one round. */
const EXPIRE_MAX = 200;
/** Things read at once when everything is announced. */
const PAGE_MAX = 1_000;

/** Upkeep; each may run in several replicas at once. */
export function createUpkeepRules(deps: Pick<Deps, "store" | "now" | "createId">) {
  const { store, now } = deps;
  return { expireCredentials, announceAll, withdrawLeftovers };

  /**
   * Withdraws what people and bots kept although they had lost it, from before losses took effect on hooks and bots.
   * Afterwards there is nothing left to find. Answers the number of people and bots that something was taken from.
   */
  async function withdrawLeftovers(): Promise<number> {
    const ids = await store.listUnfit();
    for (const id of ids) {
      await actAsOperator(deps, async (scene) => {
        const user = await scene.tx.lockUser(id);
        if (user) await withdrawAccess(scene, user);
      });
    }
    return ids.length;
  }

  /** Ends credentials whose grace is over and announces their hooks without them. Answers how many hooks. */
  async function expireCredentials(): Promise<number> {
    return await store.change(async (tx) => {
      const ids = await tx.expireCredentials(now(), EXPIRE_MAX);
      const hooks = await Promise.all(ids.map((id) => tx.findHook(id)));
      tx.announce(
        hooks.flatMap((hook) => (hook ? [announced({ case: "hook", value: hook })] : [])),
      );
      return ids.length;
    });
  }

  /** Announces everything there is, as it is now: for a topic that lost it. Answers how many records. */
  async function announceAll(): Promise<number> {
    return await store.change(async (tx) => {
      await tx.lockAnnouncing();
      let count = 0;
      const add = (announcement: Announcement) => {
        tx.announce([announcement]);
        count += 1;
      };
      await each(tx.listUsers, {}, (user) => add(announced({ case: "user", value: user })));
      const teams: Team[] = [];
      await each(tx.listTeams, {}, (team) => {
        teams.push(team);
        add(announced({ case: "team", value: team }));
      });
      for (const { id: teamId } of teams) {
        await each(tx.listTeamMembers, { teamId }, (member) =>
          add(announced({ case: "teamMember", value: member })),
        );
      }
      const channels: Channel[] = [];
      await each(tx.listChannels, {}, (channel) => {
        channels.push(channel);
        add(announced({ case: "channel", value: channel }));
      });
      for (const { id: channelId } of channels) {
        await each(tx.listChannelMembers, { channelId }, (member) =>
          add(announced({ case: "channelMember", value: member })),
        );
      }
      await each(tx.listHooks, {}, (hook) => add(announced({ case: "hook", value: hook })));
      return count;
    });
  }
}

type List<Filter, Item> = (filter: Filter & { window: Window }) => Promise<Item[]>;

/** Every item of a list, page by page, from the first. */
async function each<Filter, Item extends { position: bigint }>(
  list: List<Filter, Item>,
  filter: Filter,
  use: (item: Item) => void,
): Promise<void> {
  for (let value = 0n; ; ) {
    const window: Window = { limit: PAGE_MAX, bound: { case: "after", value } };
    const page = await list({ ...filter, window });
    page.forEach(use);
    const last = page.at(-1);
    if (!last || page.length < PAGE_MAX) return;
    value = last.position;
  }
}
