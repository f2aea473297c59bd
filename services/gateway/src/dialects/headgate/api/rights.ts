/**
 * What live readers may see, kept up to date while they stay. Streams of one token that ask for the same channels share
 * one answer, and few questions to the registry are under way at once: a change that concerns everybody costs the
 * registry no burst.
 */
import { AppError } from "@headgate/kit/errors";
import type { Channel } from "@headgate/proto/registry/v1/registry";
import { type Caller, resolve } from "./caller.ts";
import type { ApiDeps, RegistryRecord } from "./deps.ts";

/** Channels of one page when all of a reader's are listed, and pages at most. */
const PAGE = 200;
const PAGES_MAX = 50;
/** Answers that are asked for at once; each is a handful of rpcs, one after the other. */
const ASKING_MAX = 8;
/** Rpcs of one answer that are under way at once. */
const RPCS_AT_ONCE = 10;
/** ms after which an answer is asked for anew, though no change was seen. */
const FRESH_MS = 15_000;

/** What a reader asked for: these channels, or all that the reader may read. */
export type Wanted = ReadonlySet<string> | undefined;

/** What one stream holds. */
export type Rights = {
  /** Whether messages of a channel may be shown. */
  allows(channelId: string): boolean;
  /** A change is being looked at that may take something away, or add something: nothing is shown until it is done. */
  readonly isHeld: boolean;
  release(): void;
};

/** Called when `isHeld` may have ended, and once when the rights are lost for good. Must not throw. */
export type Watcher = { onChecked(): void; onLost(): void };

/** The rights of all streams of this process. */
export type RightsBook = ReturnType<typeof createRightsBook>;

/** What a change of the registry means to a reader: `late` may add something, but is not waited for. */
type Concern = "none" | "late" | "wider" | "narrower";

type Entry = {
  readonly key: string;
  readonly caller: Caller;
  readonly wanted: Wanted;
  readonly watchers: Set<Watcher>;
  readonly first: PromiseWithResolvers<void>;
  channels: ReadonlyMap<string, Channel>;
  teams: ReadonlySet<string>;
  held: "wider" | "narrower" | undefined;
  isAsking: boolean;
  isLost: boolean;
  askedMs: number;
};

/** No rights are held yet. */
export function createRightsBook(
  deps: Pick<ApiDeps, "registry" | "management" | "onRegistryChange" | "log">,
) {
  const entries = new Map<string, Entry>();
  const queue = new Set<Entry>();
  let asking = 0;
  let timer: NodeJS.Timeout | undefined;
  let stopListening: (() => void) | undefined;

  return { open };

  /**
   * The rights of a caller, for as long as they are not released.
   * @throws AppError unauthenticated when the token is no longer good; not_found when a wanted channel is not to be read;
   * unavailable
   */
  async function open(caller: Caller, wanted: Wanted, watcher: Watcher): Promise<Rights> {
    const names = wanted ? [...wanted].sort().join() : "";
    const key = `${Buffer.from(caller.digest).toString("base64url")} ${names}`;
    const entry = entries.get(key) ?? create(key, caller, wanted);
    entry.watchers.add(watcher);
    const release = () => {
      entry.watchers.delete(watcher);
      if (entry.watchers.size === 0) forget(entry);
    };
    try {
      await entry.first.promise;
    } catch (thrown) {
      release();
      throw thrown;
    }
    return {
      allows: (channelId) =>
        !entry.isLost && (wanted?.has(channelId) ?? true) && entry.channels.has(channelId),
      get isHeld() {
        return entry.held !== undefined;
      },
      release,
    };
  }

  function create(key: string, caller: Caller, wanted: Wanted): Entry {
    const entry: Entry = {
      key,
      caller,
      wanted,
      watchers: new Set(),
      first: Promise.withResolvers(),
      channels: new Map(),
      teams: new Set(),
      held: undefined,
      isAsking: false,
      isLost: false,
      askedMs: performance.now(),
    };
    entry.first.promise.catch(() => {}); // each opener awaits it for itself
    entries.set(key, entry);
    stopListening ??= deps.onRegistryChange(onChange);
    timer ??= setInterval(refreshOld, FRESH_MS / 4);
    enqueue(entry);
    return entry;
  }

  function forget(entry: Entry): void {
    if (entries.get(entry.key) === entry) entries.delete(entry.key);
    queue.delete(entry);
    if (entries.size > 0) return;
    stopListening?.();
    stopListening = undefined;
    clearInterval(timer);
    timer = undefined;
  }

  function refreshOld(): void {
    const beforeMs = performance.now() - FRESH_MS;
    for (const entry of entries.values()) if (entry.askedMs < beforeMs) enqueue(entry);
  }

  function onChange(change: RegistryRecord): void {
    for (const entry of entries.values()) {
      const concern = concernOf(change, entry);
      if (concern === "none") continue;
      if (concern === "narrower") entry.held = "narrower";
      else if (concern === "wider") entry.held ??= "wider";
      enqueue(entry);
    }
  }

  function enqueue(entry: Entry): void {
    queue.add(entry);
    askNext();
  }

  /** One answer of an entry at a time: what changes meanwhile leaves it in the queue. */
  function askNext(): void {
    for (const entry of queue) {
      if (asking >= ASKING_MAX) return;
      if (entry.isAsking) continue;
      queue.delete(entry);
      asking += 1;
      entry.isAsking = true;
      void check(entry).finally(() => {
        asking -= 1;
        entry.isAsking = false;
        askNext();
      });
    }
  }

  async function check(entry: Entry): Promise<void> {
    entry.askedMs = performance.now();
    try {
      const channels = await readChannels(deps, entry);
      entry.channels = channels;
      entry.teams = new Set([...channels.values()].map(({ teamId }) => teamId));
      entry.first.resolve();
    } catch (thrown) {
      entry.first.reject(thrown); // of an entry that has its first answer, this does nothing
      const error = AppError.from(thrown);
      const isAway = ["unavailable", "deadline_exceeded", "resource_exhausted"].includes(
        error.code,
      );
      if (error.code === "internal") deps.log.error("stream check failed", { error });
      // A registry that does not answer says nothing about rights: what was allowed goes on, what may be lost does not.
      if (!isAway || entry.held === "narrower") return lose(entry);
    }
    if (queue.has(entry)) return; // something changed meanwhile: it is looked at once more
    entry.held = undefined;
    for (const watcher of entry.watchers) watcher.onChecked();
  }

  function lose(entry: Entry): void {
    entry.isLost = true;
    if (entries.get(entry.key) === entry) entries.delete(entry.key);
    for (const watcher of entry.watchers) watcher.onLost();
  }
}

/** The channels that may be shown now. */
async function readChannels(
  { registry, management }: Pick<ApiDeps, "registry" | "management">,
  { caller, wanted }: Entry,
): Promise<ReadonlyMap<string, Channel>> {
  await resolve(registry, caller.digest);
  const actor = { userId: caller.user.id, traceId: "" };
  const found = new Map<string, Channel>();
  if (wanted) {
    const ids = [...wanted];
    for (let at = 0; at < ids.length; at += RPCS_AT_ONCE) {
      const some = ids.slice(at, at + RPCS_AT_ONCE);
      const answers = await Promise.all(some.map((id) => management.getChannel({ actor, id })));
      for (const { channel } of answers) if (channel) found.set(channel.id, channel);
    }
    return found;
  }
  let after = 0n;
  for (let page = 0; page < PAGES_MAX; page++) {
    const asked = { actor, page: { limit: PAGE, bound: { case: "after" as const, value: after } } };
    const { channels } = await management.listChannels(asked);
    for (const channel of channels) found.set(channel.id, channel);
    after = channels.at(-1)?.position ?? 0n;
    if (channels.length < PAGE) return found;
  }
  const message = "There are too many channels: name those that are wanted.";
  throw new AppError("failed_precondition", "channels_too_many", message);
}

function concernOf(
  { key, value }: RegistryRecord,
  { caller, channels, teams, wanted }: Entry,
): Concern {
  const [kind = "", id = "", memberId] = key.split(":");
  const { user } = caller;
  switch (kind) {
    case "user":
      return id === user.id ? "narrower" : "none";
    case "team_member":
      return memberId === user.id ? "narrower" : "none";
    case "channel_member":
      if (memberId !== user.id || wanted?.has(id) === false) return "none";
      return value === null ? "narrower" : "wider";
    case "channel": {
      if (wanted?.has(id) === false) return "none";
      const known = channels.get(id);
      const is = value?.subject.case === "channel" ? value.subject.value : undefined;
      if (!known) return is === undefined ? "none" : teams.has(is.teamId) ? "wider" : "late";
      const isSame = is?.teamId === known.teamId && is.isPrivate === known.isPrivate;
      return isSame ? "none" : "narrower";
    }
    case "token":
      return value?.subject.case === "revokedToken" && value.subject.value.userId === user.id
        ? "narrower"
        : "none";
    default:
      return "none";
  }
}
