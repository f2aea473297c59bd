/** What the store in memory holds. */
import type {
  Channel,
  ChannelMember,
  IncomingHook,
  Team,
  TeamMember,
  Token,
  User,
} from "@headgate/proto/registry/v1/registry";
import type { Announcement, AuditEntry, Credential } from "../service-deps.ts";

/** Everything there is. Maps are keyed by id, or by both ids of a membership with a colon between. */
export type Tables = {
  teams: Map<string, Team>;
  users: Map<string, User>;
  teamMembers: Map<string, TeamMember>;
  tokens: Map<string, Token>;
  channels: Map<string, Channel>;
  channelMembers: Map<string, ChannelMember>;
  hooks: Map<string, IncomingHook>;
  /** By id of what was made. */
  creators: Map<string, string>;
  passwords: Map<string, string>;
  /** By token id. */
  digests: Map<string, Uint8Array>;
  /** By hook id, newest first. */
  credentials: Map<string, (Credential & { expiresAt?: Date | undefined })[]>;
  /** The last position that was given. */
  place: { last: bigint };
  audit: AuditEntry[];
  announced: Announcement[];
};

/** Nothing. */
export function emptyTables(): Tables {
  return {
    teams: new Map(),
    users: new Map(),
    teamMembers: new Map(),
    tokens: new Map(),
    channels: new Map(),
    channelMembers: new Map(),
    hooks: new Map(),
    creators: new Map(),
    passwords: new Map(),
    digests: new Map(),
    credentials: new Map(),
    place: { last: 0n },
    audit: [],
    announced: [],
  };
}

/** Things are replaced, never changed, so a copy of the maps is a copy of all. */
export function copyTables(tables: Tables): Tables {
  return {
    teams: new Map(tables.teams),
    users: new Map(tables.users),
    teamMembers: new Map(tables.teamMembers),
    tokens: new Map(tables.tokens),
    channels: new Map(tables.channels),
    channelMembers: new Map(tables.channelMembers),
    hooks: new Map(tables.hooks),
    creators: new Map(tables.creators),
    passwords: new Map(tables.passwords),
    digests: new Map(tables.digests),
    credentials: new Map(tables.credentials),
    place: { ...tables.place },
    audit: [...tables.audit],
    announced: [...tables.announced],
  };
}
