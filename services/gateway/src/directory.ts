/**
 * The gateway's copy of the registry, in memory: filled and kept fresh by following registry.changed.v1 from its start,
 * and by the answers of the registry where the copy has none yet.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type Channel,
  type IncomingHook,
  type RegistryChanged,
  type ResolveHookResponse,
  type Team,
  TeamRole,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { registryKeyOf } from "@headgate/proto/topics";
import type { Directory, Hook } from "./dialect.ts";

/** A record as the log gives it; null says that the thing is gone. */
export type DirectoryRecord = { readonly key: string; readonly value: RegistryChanged | null };

/** The copy, with what keeps it. */
export type DirectoryCopy = Directory & {
  /** Takes records in the order of the log. Never throws. */
  apply(records: readonly DirectoryRecord[]): void;
  /**
   * Takes what the registry answered to a change that this process asked for, before the log brings it; null: it was
   * removed. What the log brings of before does not undo it.
   */
  applyAnswers(records: readonly DirectoryRecord[]): void;
  /**
   * The topic is read again from its start, because tombstones may have been missed: records are held back until
   * `caughtUp` resolves, and then taken at once, each key's last one, unless something newer is known. What is not among
   * them is dropped.
   */
  refresh(caughtUp: Promise<void>): void;
  /** Takes an answer of the registry, unless something newer is known. */
  merge(answer: ResolveHookResponse): void;
  /** Takes a channel that the registry named, unless something newer is known. */
  mergeChannel(channel: Channel): void;
  /** The hook of a digest (base64url of SHA-256), joined with what it names; undefined: not in the copy. */
  hookByDigest(digest: string): Hook | undefined;
  /** Whether the owner or an operator set limits for a hook; false when it is not in the copy. */
  hasLimits(hookId: string): boolean;
  /** Calls back with every record that was applied; returns the way to stop. */
  onChange(listener: (record: DirectoryRecord) => void): () => void;
};

/** Things of which it is remembered that they are gone, so that a late answer does not bring them back. */
const GONE_MAX = 10_000;

/** Makes an empty copy. */
export function createDirectory(): DirectoryCopy {
  const teams = new Map<string, Team>();
  const users = new Map<string, User>();
  const userIds = new Map<string, string>();
  const channels = new Map<string, Channel>();
  const channelIds = new Map<string, string>();
  const hooks = new Map<string, IncomingHook>();
  const hookIds = new Map<string, string>();
  const members = new Map<string, Set<string>>();
  const teamIds = new Map<string, string>(); // by host
  const roles = new Map<string, Map<string, TeamRole>>(); // by team, then user
  const gone = new Set<string>();
  /** Keys whose value came in an answer and is newer than the log so far, with its version; and those removed so. */
  const answered = new Map<string, number>();
  const removed = new Set<string>();
  const listeners = new Set<(record: DirectoryRecord) => void>();
  /** While the topic is read again: the last record of each key, and the keys that answers brought meanwhile. */
  let reread: { records: Map<string, DirectoryRecord>; answered: Set<string> } | undefined;

  return {
    team: (id) => teams.get(id),
    teamByHost: (host) => teams.get(teamIds.get(host) ?? ""),
    teamRole: (teamId, userId) => roles.get(teamId)?.get(userId) ?? TeamRole.UNSPECIFIED,
    channel: (id) => channels.get(id),
    channelByName: (teamId, name) => channels.get(channelIds.get(`${teamId}:${name}`) ?? ""),
    user: (id) => users.get(id),
    userByName: (name) => users.get(userIds.get(name) ?? ""),
    isChannelMember: (channelId, userId) => members.get(channelId)?.has(userId) ?? false,
    hookByDigest,
    hasLimits: (hookId) => hooks.get(hookId)?.limits !== undefined,
    merge,
    mergeChannel: (channel) => put({ case: "channel", value: channel }, true),
    apply(records) {
      for (const record of records) {
        if (reread) {
          reread.records.set(record.key, record);
          continue;
        }
        if (record.value === null) {
          removed.delete(record.key);
          remove(record.key);
        } else if (!isOutdated(record.value)) put(record.value.subject, false);
        for (const listener of listeners) listener(record);
      }
    },
    refresh(caughtUp) {
      const begun = { records: new Map<string, DirectoryRecord>(), answered: new Set<string>() };
      reread = begun;
      void caughtUp.then(() => {
        if (reread !== begun) return; // it was begun once more
        reread = undefined;
        replace(begun);
      });
    },
    applyAnswers(records) {
      for (const record of records) {
        reread?.answered.add(record.key);
        if (record.value === null) {
          remove(record.key);
          remember(removed, record.key);
        } else {
          put(record.value.subject, true);
        }
        for (const listener of listeners) listener(record);
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  /**
   * Takes what was read again. A log that was rolled back may hold less than the copy: what is newer here stays. What came
   * in an answer meanwhile may not be in the log yet.
   */
  function replace({ records, answered }: NonNullable<typeof reread>): void {
    for (const key of listKeys()) {
      if (!records.has(key) && !answered.has(key)) take({ key, value: null });
    }
    for (const record of records.values()) {
      if (!answered.has(record.key) && !removed.has(record.key)) take(record);
    }
  }

  function take(record: DirectoryRecord): void {
    if (record.value === null) remove(record.key);
    else put(record.value.subject, true);
    for (const listener of listeners) listener(record);
  }

  /** The keys of all that is known. */
  function listKeys(): string[] {
    const things = { team: teams, user: users, channel: channels, hook: hooks };
    const keys = Object.entries(things).flatMap(([kind, known]) =>
      [...known.keys()].map((id) => `${kind}:${id}`),
    );
    for (const [channelId, ids] of members) {
      for (const id of ids) keys.push(`channel_member:${channelId}:${id}`);
    }
    for (const [teamId, own] of roles) {
      for (const id of own.keys()) keys.push(`team_member:${teamId}:${id}`);
    }
    return keys;
  }

  function hookByDigest(digest: string): Hook | undefined {
    const record = hooks.get(hookIds.get(digest) ?? "");
    const team = record && teams.get(record.teamId);
    if (!record || !team) return undefined;
    return {
      record,
      team,
      owner: users.get(record.ownerId),
      bot: record.botId === "" ? undefined : users.get(record.botId),
      channel: channels.get(record.targetId),
    };
  }

  function merge({ hook, team, channel, owner, bot }: ResolveHookResponse): void {
    if (team) put({ case: "team", value: team }, true);
    if (channel) put({ case: "channel", value: channel }, true);
    if (owner) put({ case: "user", value: owner }, true);
    if (bot) put({ case: "user", value: bot }, true);
    if (hook) put({ case: "hook", value: hook }, true);
  }

  /** Whether the log only now brings what an answer has overtaken. */
  function isOutdated(value: RegistryChanged): boolean {
    if (removed.size === 0 && answered.size === 0) return false;
    const key = registryKeyOf(value);
    if (removed.has(key)) return true;
    const version = answered.get(key);
    if (version === undefined) return false;
    if (version > timeOf(versionedOf(value.subject))) return true;
    answered.delete(key);
    return false;
  }

  /** `isAnswer`: it came past the log, which may know more by now. */
  function put(subject: RegistryChanged["subject"], isAnswer: boolean): void {
    switch (subject.case) {
      case "team":
        if (isAnswer && isKnown("team", subject.value, teams)) return;
        forgetHost(teams.get(subject.value.id));
        teams.set(subject.value.id, subject.value);
        if (subject.value.host !== "") teamIds.set(subject.value.host, subject.value.id);
        break;
      case "user": {
        const user = subject.value;
        if (isAnswer && isKnown("user", user, users)) return;
        forget(userIds, users.get(user.id)?.name, user.id);
        users.set(user.id, user);
        userIds.set(user.name, user.id);
        break;
      }
      case "channel": {
        const channel = subject.value;
        if (isAnswer && isKnown("channel", channel, channels)) return;
        forgetChannelName(channels.get(channel.id));
        channels.set(channel.id, channel);
        channelIds.set(`${channel.teamId}:${channel.name}`, channel.id);
        break;
      }
      case "hook": {
        const hook = subject.value;
        if (isAnswer && isKnown("hook", hook, hooks)) return;
        forgetDigests(hooks.get(hook.id));
        hooks.set(hook.id, hook);
        for (const digest of hook.credentialDigests) hookIds.set(digestText(digest), hook.id);
        break;
      }
      case "channelMember": {
        const { channelId, userId } = subject.value;
        const set = members.get(channelId);
        if (set) set.add(userId);
        else members.set(channelId, new Set([userId]));
        return;
      }
      case "teamMember": {
        const { teamId, userId, role } = subject.value;
        const team = roles.get(teamId);
        if (team) team.set(userId, role);
        else roles.set(teamId, new Map([[userId, role]]));
        return;
      }
      default: // revoked tokens: the registry itself is asked about those
        return;
    }
    const key = `${subject.case}:${subject.value.id}`;
    if (!isAnswer) gone.delete(key);
    else {
      if (answered.size >= GONE_MAX) answered.clear();
      answered.set(key, timeOf(subject.value));
    }
  }

  function remove(key: string): void {
    const [kind, id = "", second = ""] = key.split(":");
    switch (kind) {
      case "team":
        forgetHost(teams.get(id));
        teams.delete(id);
        roles.delete(id);
        break;
      case "user":
        forget(userIds, users.get(id)?.name, id);
        users.delete(id);
        break;
      case "channel":
        forgetChannelName(channels.get(id));
        channels.delete(id);
        members.delete(id);
        break;
      case "hook":
        forgetDigests(hooks.get(id));
        hooks.delete(id);
        break;
      case "channel_member":
        members.get(id)?.delete(second);
        return;
      case "team_member":
        roles.get(id)?.delete(second);
        return;
      default:
        return;
    }
    answered.delete(key);
    remember(gone, key);
  }

  /** Whether the copy knows a thing as new as this, or knows that it is gone. */
  function isKnown<T extends { id: string; updatedAt?: Timestamp | undefined }>(
    kind: string,
    thing: T,
    known: ReadonlyMap<string, T>,
  ): boolean {
    const held = known.get(thing.id);
    if (held === undefined) return gone.has(`${kind}:${thing.id}`);
    return timeOf(held) >= timeOf(thing);
  }

  function forgetChannelName(channel: Channel | undefined): void {
    if (channel) forget(channelIds, `${channel.teamId}:${channel.name}`, channel.id);
  }

  function forgetHost(team: Team | undefined): void {
    if (team) forget(teamIds, team.host, team.id);
  }

  function forgetDigests(hook: IncomingHook | undefined): void {
    for (const digest of hook?.credentialDigests ?? [])
      forget(hookIds, digestText(digest), hook?.id);
  }
}

/** The text that digests are found by: base64url without padding. */
export function digestText(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("base64url");
}

/** Adds a key; of too many, the oldest is forgotten. */
function remember(keys: Set<string>, key: string): void {
  keys.add(key);
  if (keys.size > GONE_MAX) for (const oldest of keys) return void keys.delete(oldest);
}

/** What carries the version of a record; members and tokens have none. */
function versionedOf({ case: kind, value }: RegistryChanged["subject"]) {
  return kind === "team" || kind === "user" || kind === "channel" || kind === "hook" ? value : {};
}

/** Drops a name, unless another thing has taken it meanwhile. */
function forget(ids: Map<string, string>, name: string | undefined, id: string | undefined): void {
  if (name !== undefined && ids.get(name) === id) ids.delete(name);
}

/** µs since the epoch; 0 when not said. */
function timeOf({ updatedAt }: { updatedAt?: Timestamp | undefined }): number {
  return updatedAt ? Number(updatedAt.seconds) * 1e6 + updatedAt.nanos / 1e3 : 0;
}
