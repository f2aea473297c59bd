/** What the rules need: the store, a clock, credentials, passwords. store.ts and the tests' memory store answer. */
import type { JsonValue } from "@bufbuild/protobuf";
import type {
  Channel,
  ChannelMember,
  HookAction,
  IncomingHook,
  RegistryChanged,
  Team,
  TeamMember,
  Token,
  User,
} from "@headgate/proto/registry/v1/registry";
import type { Sealer } from "./credential.ts";
import type { Passwords } from "./password.ts";
import type { Throttle } from "./throttle.ts";

/** Everything that rules are made of. */
export type Deps = {
  readonly store: Store;
  readonly now: () => Date;
  /** A new UUIDv7. */
  readonly createId: () => string;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  readonly sealer: Sealer;
  /** What new hooks may do: the actions that a service takes. */
  readonly servedActions: ReadonlySet<HookAction>;
};

/** One page by position: the newest first, or only older, or only newer ones (oldest first). */
export type Window = {
  readonly limit: number;
  readonly bound: { readonly case: "before" | "after"; readonly value: bigint } | undefined;
};

/** The kinds of things that are made with an id that the caller may choose. */
export type Kind = "team" | "user" | "token" | "channel" | "hook";

/** Reads. Absent things are undefined; an id that is no UUID is absent too. */
export type Reader = {
  findTeam(id: string): Promise<Team | undefined>;
  findTeamByName(name: string): Promise<Team | undefined>;
  findTeamMember(teamId: string, userId: string): Promise<TeamMember | undefined>;
  /** The memberships of a user in teams. */
  findTeamMembersOf(userId: string): Promise<TeamMember[]>;
  /** The channels of a team that a user is a member of. */
  findChannelsOf(teamId: string, userId: string): Promise<Channel[]>;
  /** The oldest team that both are in. */
  findSharedTeam(userId: string, otherId: string): Promise<Team | undefined>;
  findUser(id: string): Promise<User | undefined>;
  findUserByName(name: string): Promise<User | undefined>;
  findPasswordHash(userId: string): Promise<string | undefined>;
  findChannel(id: string): Promise<Channel | undefined>;
  findChannelByName(teamId: string, name: string): Promise<Channel | undefined>;
  findChannelMember(channelId: string, userId: string): Promise<ChannelMember | undefined>;
  /** With the digests of its live credentials, newest first. */
  findHook(id: string): Promise<IncomingHook | undefined>;
  /** By a live credential. */
  findHookByDigest(digest: Uint8Array): Promise<IncomingHook | undefined>;
  findToken(id: string): Promise<Token | undefined>;
  findTokenByDigest(digest: Uint8Array): Promise<Token | undefined>;
  /**
   * Owners and bots whose active hooks fail unfitReason, and deactivated owners of active bots: none, unless a release that
   * did not withdraw left them.
   */
  listUnfit(): Promise<string[]>;
  /** Who made a thing. */
  findCreator(kind: Kind, id: string): Promise<string | undefined>;

  /** All, or those that a member is in. */
  listTeams(filter: { window: Window; memberId?: string; name?: string }): Promise<Team[]>;
  listTeamMembers(filter: { window: Window; teamId: string }): Promise<TeamMember[]>;
  /** `viewerId`: only who that user may see: who shares a team, the user's own bots, the user. */
  listUsers(filter: {
    window: Window;
    teamId?: string;
    isBot?: boolean;
    viewerId?: string;
    name?: string;
  }): Promise<User[]>;
  listTokens(filter: { window: Window; userId: string }): Promise<Token[]>;
  /** `viewerId`: only what that user may read, by mayReadChannel. */
  listChannels(filter: {
    window: Window;
    teamId?: string;
    viewerId?: string;
    name?: string;
  }): Promise<Channel[]>;
  listChannelMembers(filter: { window: Window; channelId: string }): Promise<ChannelMember[]>;
  /** `viewerId`: only what that user may manage, by mayManageHook. */
  listHooks(filter: {
    window: Window;
    teamId?: string;
    dialect?: string;
    targetId?: string;
    viewerId?: string;
    name?: string;
  }): Promise<IncomingHook[]>;
};

/** A credential of a hook as it is kept. */
export type Credential = {
  readonly digest: Uint8Array;
  readonly sealed: Uint8Array | undefined;
  readonly createdAt: Date;
};

/** One row of the audit. Neither secrets nor digests of them. */
export type AuditEntry = {
  readonly id: string;
  readonly at: Date;
  readonly actorId: string;
  readonly action: string;
  /** The key of the subject's record. */
  readonly subject: string;
  readonly before: JsonValue | undefined;
  readonly after: JsonValue | undefined;
  readonly traceId: string;
};

/** A record for the others: the thing as it is now, or that the thing of a key is gone. */
export type Announcement = { readonly key: string; readonly value: RegistryChanged | undefined };

/**
 * Reads and writes within one transaction. `lock*` reads a thing and keeps others from changing it until the end.
 * Inserts answer the position that the thing got. Where a name or an id is taken, inserts and saves throw AppError
 * already_exists and the transaction is over.
 */
export type Changes = Reader & {
  lockTeam(id: string): Promise<Team | undefined>;
  lockUser(id: string): Promise<User | undefined>;
  lockToken(id: string): Promise<Token | undefined>;
  lockChannel(id: string): Promise<Channel | undefined>;
  lockHook(id: string): Promise<IncomingHook | undefined>;
  /** The active hooks that a user owns or a bot writes for. */
  lockActiveHooksOf(userId: string): Promise<IncomingHook[]>;
  /** The active bots of an owner. */
  lockBotsOf(ownerId: string): Promise<User[]>;
  /** The active bots that were made for hooks, as far as no hook names them (revoked ones apart) and no token is theirs. */
  lockIdleBotsOf(hookIds: readonly string[]): Promise<User[]>;
  /** Locks the active system admins and answers how many there are. */
  lockAdmins(): Promise<number>;
  /** Holds off every other first start, and answers whether there is no user yet. */
  lockFirstStart(): Promise<boolean>;

  insertTeam(team: Team, creatorId: string): Promise<bigint>;
  saveTeam(team: Team): Promise<void>;
  /** Adds, or changes the role; answers the member as it is now, and whether it is new. */
  putTeamMember(member: TeamMember): Promise<{ member: TeamMember; isNew: boolean }>;
  /** Answers whether there was one. */
  removeTeamMember(teamId: string, userId: string): Promise<boolean>;
  insertUser(user: User, creatorId: string, passwordHash: string | undefined): Promise<bigint>;
  saveUser(user: User): Promise<void>;
  savePasswordHash(userId: string, hash: string): Promise<void>;
  insertToken(token: Token, digest: Uint8Array, creatorId: string): Promise<bigint>;
  /** Revokes the live tokens that match; answers them with their digests. */
  revokeTokens(
    which: { id: string } | { userId: string; onlySessions: boolean },
    at: Date,
  ): Promise<{ id: string; userId: string; digest: Uint8Array }[]>;
  /** Removes sessions of a user that ended before a time. */
  forgetSessions(userId: string, endedBefore: Date): Promise<void>;
  insertChannel(channel: Channel): Promise<bigint>;
  saveChannel(channel: Channel): Promise<void>;
  /** Answers the member as it is now, and whether it is new. */
  addChannelMember(member: ChannelMember): Promise<{ member: ChannelMember; isNew: boolean }>;
  /** Answers whether there was one. */
  removeChannelMember(channelId: string, userId: string): Promise<boolean>;
  /** Out of every channel of a team; answers the ids of those it was in. */
  leaveChannels(teamId: string, userId: string): Promise<string[]>;
  insertHook(hook: IncomingHook, creatorId: string): Promise<bigint>;
  saveHook(hook: IncomingHook): Promise<void>;
  deleteHook(id: string): Promise<void>;
  /** Deletes the hooks of these dialects that write into a target; answers their ids. */
  deleteHooksOf(targetId: string, dialects: readonly string[]): Promise<string[]>;
  insertCredential(hookId: string, credential: Credential): Promise<void>;
  /** Lets the newest credential of a hook live until a time (undefined: not at all) and ends the ones before it. */
  retireCredentials(hookId: string, until: Date | undefined): Promise<void>;
  /** Ends credentials whose grace is over, of at most `limit` hooks; answers the ids of the hooks. */
  expireCredentials(at: Date, limit: number): Promise<string[]>;

  /** Holds off every other announcement until the end, so that nothing read from here on is older than the last. */
  lockAnnouncing(): Promise<void>;
  audit(entry: AuditEntry): Promise<void>;
  /** Keeps announcements; they are written at the end, in their order. */
  announce(announcements: readonly Announcement[]): void;
};

/** The store: reads, transactions, and the few writes that need none. */
export type Store = Reader & {
  /**
   * Runs `work` in one transaction: all of it or nothing.
   * @throws AppError already_exists `name_taken` when something unique was taken
   */
  change<T>(work: (changes: Changes) => Promise<T>): Promise<T>;
  /** The first of `count` integers in a row that nobody else gets. */
  reserveNumbers(count: number): Promise<bigint>;
  /** Notes uses of hooks; never back in time, never into the future. */
  touchHooks(uses: readonly { hookId: string; usedAt: Date }[]): Promise<void>;
  /** Notes the use of a token. */
  touchToken(id: string, at: Date): Promise<void>;
};
