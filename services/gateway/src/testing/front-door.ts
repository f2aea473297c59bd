/** For tests: the gateway's front door on a loopback port, over parts in memory that a test can take away. */
import { hash } from "node:crypto";
import { BlockList } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { createLog } from "@headgate/kit/log";
import type { MessageSchema } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import {
  ChannelSchema,
  HookAction,
  HookState,
  type IncomingHook,
  IncomingHookSchema,
  RegistryChangedSchema,
  TeamRole,
  TeamSchema,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import { type AskAdmission, createAdmissions } from "../admissions.ts";
import { type BodyRoomBounds, createBodyRoom } from "../body-room.ts";
import type { Admission, Dialect } from "../dialect.ts";
import { createDirectory } from "../directory.ts";
import { createHookCeiling } from "../hook-ceiling.ts";
import { createHot } from "../hot.ts";
import { openFrontDoor } from "../http.ts";
import { createAuthenticate } from "../ingest/authenticate.ts";
import { createHookLookup } from "../ingest/hook-lookup.ts";
import { createFeed } from "../live/feed.ts";
import { createLoad } from "../load.ts";
import { createNumbers } from "../numbers.ts";
import { createGate } from "../service.ts";
import { createFakePostedLog } from "./fake-posted-log.ts";

/** What a test may take away or turn, at any time. */
export type Faults = {
  /** Thrown by the log instead of keeping events. */
  log: unknown;
  isRegistryAway: boolean;
  isLimiterAway: boolean;
  /** Given by the rate-limiter to whatever has a budget. */
  admission: Partial<Admission>;
  /** Requests that any budget has room for; undefined: no bound. */
  room: number | undefined;
  /** What publishing the events of a hook waits for. */
  publishing: ((hookId: string) => Promise<void> | undefined) | undefined;
  /** New requests are refused for load. */
  isFull: boolean;
  /** Accepted events become readable at once. */
  isChatThere: boolean;
};

/** The front door over fakes. */
export type TestDoor = Awaited<ReturnType<typeof openTestDoor>>;

const MIB = 1024 * 1024;
const AWAY = new AppError("unavailable", "away", "The service is away.", { retryAfterMs: 1000 });

/** Opens a door that serves these dialects, with one team, one channel and one owner. */
export async function openTestDoor(
  dialects: readonly Dialect[],
  options: {
    bodies?: Partial<BodyRoomBounds>;
    hookCeilingPerMinute?: number;
    requestsPerSourceMax?: number;
  } = {},
) {
  const faults: Faults = {
    log: undefined,
    isRegistryAway: false,
    isLimiterAway: false,
    admission: {},
    room: undefined,
    publishing: undefined,
    isFull: false,
    isChatThere: true,
  };
  const published: Event[] = [];
  const resolved = { calls: 0 };
  const answers: Uint8Array[] = [];
  const lines: string[] = [];
  const log = createLog({ service: "gateway", level: "debug", write: (line) => lines.push(line) });
  const team = create(TeamSchema, { id: createId(), name: "team", zone: "UTC" });
  const owner = create(UserSchema, { id: createId(), name: "owner", displayName: "Owner" });
  const bot = create(UserSchema, { id: createId(), name: "bot", displayName: "Bot", isBot: true });
  const channel = create(ChannelSchema, { id: createId(), teamId: team.id, name: "alerts" });
  const directory = createDirectory();
  put({ case: "team", value: team });
  put({ case: "user", value: owner });
  put({ case: "user", value: bot });
  put({ case: "channel", value: channel });
  put({
    case: "teamMember",
    value: { teamId: team.id, userId: owner.id, role: TeamRole.MEMBER },
  });

  const posted = createFakePostedLog();
  const readable = createFeed({
    follow: posted.follow,
    getMessages: async () => [],
    countMax: 1_000,
    bytesMax: 1024 * 1024,
  });
  await readable.hold().live;
  const load = createLoad();
  const ceiling = createHookCeiling({ perMinute: options.hookCeilingPerMinute ?? 0 });
  const bodies = createBodyRoom({
    totalBytesMax: 64 * MIB,
    hookBytesMax: 16 * MIB,
    sourceBytesMax: 8 * MIB,
    ...options.bodies,
  });
  const isFull = load.isFull;
  const lookup = createHookLookup({
    directory,
    resolveHook: async () => {
      resolved.calls += 1;
      if (faults.isRegistryAway) throw AWAY;
      return undefined;
    },
  });
  const admissions = createAdmissions({ limiter: createMemoryLimiter(faults, answers), log });
  const gate = createGate({
    directory,
    authenticate: createAuthenticate({ lookup, rateLimit: admissions }),
    lookUpChannel: async () => undefined,
    admissions,
    load,
    ceiling,
    numbers: createNumbers({ reserve: async () => 1n }),
    readable,
    getMessages: async () => [],
    touchHook: () => {},
    async publishChat(events) {
      await faults.publishing?.(events[0]?.origin?.hookId ?? "");
      if (faults.log !== undefined) throw faults.log;
      published.push(...events);
      if (faults.isChatThere) for (const event of events) posted.announce(messageOf(event));
    },
    publicUrl: "http://127.0.0.1",
  });
  const hot = createHot({
    dialects,
    gate,
    load: { ...load, isFull: () => faults.isFull || isFull() },
    bodies,
    ceiling,
    requestsPerSourceMax: options.requestsPerSourceMax ?? 4_096,
    hasLimits: directory.hasLimits,
    trustedProxies: new BlockList(),
    log,
    logsAccepted: true,
  });
  const door = await openFrontDoor({
    host: "127.0.0.1",
    port: 0,
    hot,
    api: undefined,
    dialects,
    gate,
    connections: { max: 20_000, perSourceMax: 2_048 },
    trustedProxies: new BlockList(),
    log,
  });

  return {
    url: `http://127.0.0.1:${door.port}`,
    port: door.port,
    faults,
    published,
    /** Questions to the registry about credentials. */
    resolved,
    /** What was kept under keys, in order; empty where a claim was forgotten. */
    answers,
    lines,
    load,
    bodies,
    gate,
    channel,
    team,
    owner,
    bot,
    addHook,
    put,
    remove,
    [Symbol.asyncDispose]: () => door[Symbol.asyncDispose](),
  };

  /** Adds a hook of a credential to the copy of the registry. */
  function addHook(
    dialect: string,
    credential: string,
    init: MessageInitShape<typeof IncomingHookSchema> = {},
  ): IncomingHook {
    const hook = create(IncomingHookSchema, {
      id: createId(),
      teamId: team.id,
      dialect,
      action: HookAction.CHAT_MESSAGE,
      targetId: channel.id,
      ownerId: owner.id,
      botId: bot.id,
      state: HookState.ACTIVE,
      credentialDigests: [hash("sha256", credential, "buffer")],
      ...init,
    });
    put({ case: "hook", value: hook });
    return hook;
  }

  /** Takes away what a key of the registry's topic names. */
  function remove(key: string): void {
    directory.apply([{ key, value: null }]);
  }

  function put(subject: MessageInitShape<typeof RegistryChangedSchema>["subject"]): void {
    directory.apply([{ key: "", value: create(RegistryChangedSchema, { subject }) }]);
  }
}

function createMemoryLimiter(faults: Faults, answers: Uint8Array[]): AskAdmission {
  const kept = new Map<string, { digest: string; answer: Uint8Array | undefined }>();
  return {
    async admit(items) {
      if (faults.isLimiterAway) throw AWAY;
      return items.map(({ budgets, claim }): Admission => {
        const states = budgets.map(({ rule }) => {
          const limit = rule.case === "fixedWindow" ? rule.value.limit : rule.value.burst;
          return { limit, remaining: limit - 1, resetMs: 1500 };
        });
        const base = { budgets: states, retryAfterMs: 0, answer: new Uint8Array() };
        if (budgets.length > 0 && faults.room !== undefined && faults.room-- <= 0) {
          faults.room = 0;
          return { ...base, decision: "limited", retryAfterMs: 2000 };
        }
        if (budgets.length > 0 && faults.admission.decision) {
          return { ...base, decision: "admitted", ...faults.admission };
        }
        if (!claim) return { ...base, decision: "admitted" };
        const name = `${claim.scope} ${claim.key}`;
        const digest = Buffer.from(claim.bodyDigest).toString("hex");
        const known = kept.get(name);
        if (!known) {
          kept.set(name, { digest, answer: undefined });
          return { ...base, decision: "admitted" };
        }
        if (known.digest !== digest) return { ...base, decision: "conflict" };
        if (!known.answer) return { ...base, decision: "in_progress", retryAfterMs: 500 };
        return { ...base, decision: "replay", answer: known.answer };
      });
    },
    async settle(settlements) {
      if (faults.isLimiterAway) throw AWAY;
      for (const { scope, key, answer } of settlements) {
        const known = kept.get(`${scope} ${key}`);
        answers.push(answer);
        if (answer.length === 0) kept.delete(`${scope} ${key}`);
        else if (known) known.answer = answer;
      }
    },
    async peek(budgets) {
      return budgets.map(() => ({ limit: 1, remaining: 1, resetMs: 0 }));
    },
  };
}

/** The message that chat would announce of an event. */
function messageOf(event: Event): MessageInitShape<typeof MessageSchema> {
  const { id, teamId, origin, author, acceptedAt, number, action } = event;
  if (action.case !== "chatMessage") return {};
  const { channelId, content, rootId, fold, priority, kind } = action.value;
  const message = { id, teamId, origin, author, acceptedAt, number, channelId, content, rootId };
  return { ...message, fold, priority, kind, position: 1n, count: 1 };
}
