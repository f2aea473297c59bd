/**
 * The seam between the gateway and the foreign APIs it speaks: what a dialect is, what a hook request and its reply
 * are, and what the gate offers to a dialect. Types only; imports nothing that does I/O.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { AppError } from "@headgate/kit/errors";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import type {
  Channel,
  IncomingHook,
  Team,
  TeamRole,
  User,
} from "@headgate/proto/registry/v1/registry";
import type { Router } from "express";
import type { Authenticate } from "./ingest/authenticate.ts";

/** One foreign API (or our own). Knows no other dialect, no Kafka, no SQL. */
export type Dialect = {
  /** Label of metrics and logs; the `dialect` of its hooks. */
  readonly name: string;
  /** The path a sender posts to, given the credential of a hook ("/in/hgi_..."). */
  hookPath(credential: string): string;
  /** The hot way in: matched on bare node:http, before Express is asked. */
  hooks(gate: Gate): readonly HookRoute[];
  /** Management calls, carried by Express; undefined where the dialect has none yet. */
  api?(gate: Gate): Router;
  /** Any failure of a hook request, in the upstream's own status, headers and words. `traceId`: of the request. */
  renderError(error: AppError, traceId?: string): HookReply;
};

/** A hook endpoint on the hot way. */
export type HookRoute = {
  /** For spans and metrics; credentials stand as names: "/in/{token}/batch". */
  readonly template: string;
  /**
   * Whether a path (no query, not decoded) is this route's, whatever the method; the credential and other variable
   * parts come back by name. The dialect answers 405 and 404 under its own paths itself.
   */
  match(path: string): Readonly<Record<string, string>> | undefined;
  /** Answers; may throw AppError (or anything), which goes through the dialect's renderError. */
  handle(request: HookRequest): Promise<HookReply>;
};

/** What a sender sent. */
export type HookRequest = {
  readonly method: string;
  /** The parts that `match` found. */
  readonly params: Readonly<Record<string, string>>;
  /** Raw query, without "?"; empty when none. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** Address of the sender, behind trusted proxies the forwarded one. */
  readonly source: string;
  /** 32 hex digits; the X-Request-Id that every answer carries. */
  readonly traceId: string;
  /**
   * Counts the request and its body for a hook instead of for the client address. Call it as soon as the credential's hook
   * is known, before `readBody` wherever the order of the upstream's answers can stay the same: look up first, answer later.
   * The body of a request that is never assigned (the credential is unknown) has only the small share of its client address.
   * Takes one event from the default ceiling of a hook without limits of its own (`Gate.takeFromCeiling` for more).
   * @throws AppError unavailable `overloaded` when the hook has its share of waiting requests or of body bytes already;
   * resource_exhausted `hook_limited`, with retryAfterMs, at the default ceiling.
   * Let it pass as it is, before anything costly is done: the webhook server answers it in `renderError`'s words
   */
  assignTo(hookId: string): void;
  /**
   * The whole body, once.
   * @throws AppError invalid_argument `body_too_large` (http 413) when declared or streamed over `bytesMax`;
   * `body_timeout` (http 408) when it does not arrive in time or arrives too slowly; unavailable `overloaded` (let it pass)
   * when there is no room for it
   */
  readBody(bytesMax: number): Promise<Buffer>;
};

/** What goes back. An object body is sent as JSON. Content-Type is the dialect's to set; Content-Length is not. */
export type HookReply = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | object;
};

/** A hook with what it names, joined from the gateway's copy of the registry. */
export type Hook = {
  readonly record: IncomingHook;
  readonly team: Team;
  /** The account that owns it; undefined when it is gone. */
  readonly owner: User | undefined;
  /** The bot that writes; undefined: the owner writes, or the bot is gone (`record.botId` tells which). */
  readonly bot: User | undefined;
  /** The target of a chat_message hook; undefined when it is gone. Archived channels are there, with archivedAt. */
  readonly channel: Channel | undefined;
};

/** A budget to take from: a fixed window or a token bucket. See RateLimiterService.Admit. */
export type Budget = {
  readonly key: string;
  readonly rule:
    | { readonly case: "fixedWindow"; readonly value: { limit: number; windowSeconds: number } }
    | { readonly case: "tokenBucket"; readonly value: { perMinute: number; burst: number } };
};

/** What the rate-limiter said. `budgets` in the order asked: limit, remaining after this request, ms to reset. */
export type Admission = {
  readonly decision: "admitted" | "limited" | "replay" | "conflict" | "in_progress";
  readonly budgets: readonly { limit: number; remaining: number; resetMs: number }[];
  readonly retryAfterMs: number;
  /** The kept answer, on `replay`. */
  readonly answer: Uint8Array;
};

/** An idempotency key as the rate-limiter knows it. */
export type Claim = {
  /** Hook or user UUID. */
  readonly scope: string;
  readonly key: string;
  /** SHA-256 of the body as sent. */
  readonly bodyDigest: Uint8Array;
};

/** The gateway's own copy of who and what; answers at once, a few ms behind the registry at most. */
export type Directory = {
  team(id: string): Team | undefined;
  /** The team that senders name by this host (lower case, without port). */
  teamByHost(host: string): Team | undefined;
  /** UNSPECIFIED: not a member. */
  teamRole(teamId: string, userId: string): TeamRole;
  channel(id: string): Channel | undefined;
  channelByName(teamId: string, name: string): Channel | undefined;
  user(id: string): User | undefined;
  userByName(name: string): User | undefined;
  isChannelMember(channelId: string, userId: string): boolean;
};

/** What the gateway offers to dialects: the rules of acceptance. Everything that waits has a deadline. */
export type Gate = {
  /**
   * The hook behind a credential of a dialect. Unknown ones are counted against the client address before the registry is
   * asked for them; the dialect answers the refusal in its own words.
   * @throws AppError unavailable when the copy has no answer and the registry is away
   */
  authenticate: Authenticate;
  /**
   * Takes from all budgets or none, and claims the idempotency key. With no budgets and no claim it answers at once.
   * When the rate-limiter is away, budgets are let through and counted in metrics.
   */
  admit(budgets: readonly Budget[], claim?: Claim): Promise<Admission>;
  /**
   * Budgets as they stand, without taking: for answers that do not count but show them. When the rate-limiter is away,
   * each looks untouched.
   */
  peek(budgets: readonly Budget[]): Promise<Admission["budgets"]>;
  /**
   * Takes events from the default ceiling of a hook, as many as it has left, beyond the one that `assignTo` took: for
   * requests of several events. Grants all of them to a hook with limits of its own.
   */
  takeFromCeiling(
    hook: Hook,
    events: number,
  ): { readonly granted: number; readonly retryAfterMs: number };
  /** Keeps the answer of a claimed key for replay (24 h), or forgets the claim when there is no answer to keep. */
  settle(claim: Claim, answer: Uint8Array | undefined): Promise<void>;
  /**
   * Publishes events of one request; resolves when the log has them all.
   * @throws AppError unavailable: `log_full`, `log_unavailable`, `overloaded`: nothing is kept; `log_unsure`: it is not known,
   * an UnsureError with the ids. invalid_argument `event_too_large` (http 413): one of them, so none is published
   */
  accept(events: readonly Event[]): Promise<void>;
  /** The messages of these ids once all are readable; undefined when the deadline (ms) passes first. */
  awaitReadable(
    ids: readonly string[],
    deadlineMs: number,
  ): Promise<readonly Message[] | undefined>;
  /**
   * The messages of these ids that exist, in no particular order; at most 1,000 ids.
   * @throws AppError unavailable when chat is away
   */
  getMessages(ids: readonly string[]): Promise<readonly Message[]>;
  /** Remembers that a hook was used; written behind, in batches. */
  touchHook(hookId: string): void;
  /** @throws AppError unavailable when the reserved integers ran out and the registry is away */
  drawNumber(): Promise<bigint>;
  /** A new UUIDv7. */
  createId(): string;
  /** The moment of acceptance. */
  now(): Date;
  readonly directory: Directory;
  /** Looks a name up in the registry itself, when the directory has none: for names made a moment ago. */
  lookUpChannel(teamId: string, name: string): Promise<Channel | undefined>;
  /** Absolute address of the front door, without trailing slash. */
  readonly publicUrl: string;
};
