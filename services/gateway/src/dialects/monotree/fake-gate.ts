/** A gate in memory for this dialect's tests: one team, one room, one hook, a clock that tests move. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import type { Event } from "@headgate/proto/event/v1/event";
import {
  ChannelSchema,
  HookAction,
  IncomingHookSchema as HookSchema,
  HookState,
  type IncomingHookSchema,
  TeamRole,
  TeamSchema,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import type { Admission, Budget, Claim, Gate, Hook, HookReply } from "../../dialect.ts";
import { emptyDirectory, fakeAuthentication, sendThrough } from "../../testing/fake-seam.ts";
import { monotree } from "./index.ts";

/** What a test may change about the world. */
export type World = {
  hook?: MessageInitShape<typeof IncomingHookSchema>;
  host?: string;
  publicUrl?: string;
  botDeactivated?: boolean;
  roomArchived?: boolean;
  roomGone?: boolean;
  ownerGone?: boolean;
  ownerDeactivated?: boolean;
  /** The owner is not in the team any more. */
  ownerLeft?: boolean;
  /** The log refuses every event. */
  logAway?: boolean;
  /** The registry does not answer. */
  registryAway?: boolean;
  /** The hook was made a moment ago. */
  onlyRegistryKnows?: boolean;
};

/** What a test sends; by default a POST of `{"text":"x"}` as JSON to the hook. */
export type Delivery = {
  method?: string;
  token?: string;
  body?: string | Uint8Array;
  json?: unknown;
  headers?: Record<string, string>;
  source?: string;
};

export const TOKEN = "Ab3_dEf-hIjKlMnOpQrStUvWxYz0123456789abcdefg";
/** The host of another team. */
export const OTHER_HOST = "other-team.example.com";
export const START = new Date("2026-11-20T10:00:00Z");

/** The dialect over a fake gate: `send` answers as the front door would. */
export function openWorld(world: World = {}) {
  const accepted: Event[] = [];
  const touched: string[] = [];
  const windows = new Map<string, { count: number; endsMs: number }>();
  const claims = new Map<string, { digest: string; answer: Uint8Array | undefined }>();
  const clock = { ms: START.getTime() };
  let number = 500n;
  const teamId = createId();
  const user = (init: MessageInitShape<typeof UserSchema>) =>
    create(UserSchema, { id: createId(), ...init });
  const owner = user({ number: 4012n, name: "ada", displayName: "Ada" });
  if (world.ownerDeactivated) owner.deactivatedAt = timestampFromMs(1);
  const bot = user({ number: 873n, name: "alerts", displayName: "Alerts", isBot: true });
  if (world.botDeactivated) bot.deactivatedAt = timestampFromMs(1);
  const room = create(ChannelSchema, { id: createId(), number: 31n, teamId, name: "kitchen" });
  if (world.roomArchived) room.archivedAt = timestampFromMs(1);
  const hook: Hook = {
    record: create(HookSchema, {
      id: createId(),
      number: 47n,
      teamId,
      dialect: "monotree",
      action: HookAction.CHAT_MESSAGE,
      targetId: room.id,
      ownerId: owner.id,
      botId: bot.id,
      state: HookState.ACTIVE,
      ...world.hook,
    }),
    team: create(TeamSchema, { id: teamId, name: "demo", host: world.host ?? "" }),
    owner: world.ownerGone ? undefined : owner,
    bot: world.hook?.botId === "" ? undefined : bot,
    channel: world.roomGone ? undefined : room,
  };
  const away = new AppError("unavailable", "away", "Secret inner words.");
  const unused = () => {
    throw new Error("the dialect has no use for this");
  };
  const asked: string[] = [];
  const isCached = () => !world.registryAway && !world.onlyRegistryKnows;
  const peek: Gate["peek"] = async (budgets) => budgets.map((budget) => stateOf(budget));
  const gate: Gate = {
    authenticate: fakeAuthentication({
      find: (dialect, credential) =>
        dialect === "monotree" && credential === TOKEN && isCached() ? hook : undefined,
      ask: async (_dialect, credential) => {
        asked.push(credential);
        if (world.registryAway) throw away;
        return world.onlyRegistryKnows && credential === TOKEN ? hook : undefined;
      },
      admit,
      peek,
    }),
    admit,
    takeFromCeiling: (_hook, events) => ({ granted: events, retryAfterMs: 0 }),
    peek,
    settle: async ({ key, bodyDigest }, answer) => {
      if (answer) claims.set(key, { digest: Buffer.from(bodyDigest).toString("hex"), answer });
      else claims.delete(key);
    },
    accept: async (events) => {
      if (world.logAway) throw away;
      accepted.push(...events);
    },
    awaitReadable: unused,
    getMessages: unused,
    touchHook: (id) => touched.push(id),
    drawNumber: async () => ++number,
    createId,
    now: () => new Date(clock.ms),
    directory: {
      ...emptyDirectory,
      teamByHost: (host) => (host === OTHER_HOST ? create(TeamSchema, { host }) : undefined),
      ...(world.ownerLeft && { teamRole: () => TeamRole.UNSPECIFIED }),
    },
    lookUpChannel: unused,
    publicUrl: world.publicUrl ?? "http://127.0.0.1:8065",
  };
  const read: number[] = [];
  const assigned: string[] = [];
  const seen = { asked, read, assigned };
  return { send, accepted, touched, clock, claims, hook, owner, bot, room, ...seen };

  async function admit(budgets: readonly Budget[], claim?: Claim): Promise<Admission> {
    const full = budgets.map((budget) => stateOf(budget)).find(({ remaining }) => remaining === 0);
    const answer = new Uint8Array();
    if (full) {
      return { decision: "limited", budgets: [full], retryAfterMs: full.resetMs, answer };
    }
    for (const budget of budgets) take(budget);
    const states = budgets.map((budget) => stateOf(budget));
    const judged = claim ? judge(claim) : { decision: "admitted" as const, answer };
    return { ...judged, budgets: states, retryAfterMs: 0 };
  }

  function judge({ key, bodyDigest }: Claim): Pick<Admission, "decision" | "answer"> {
    const digest = Buffer.from(bodyDigest).toString("hex");
    const known = claims.get(key);
    const answer = known?.answer ?? new Uint8Array();
    if (!known) {
      claims.set(key, { digest, answer: undefined });
      return { decision: "admitted", answer };
    }
    if (known.digest !== digest) return { decision: "conflict", answer };
    return { decision: known.answer ? "replay" : "in_progress", answer };
  }

  function stateOf({ key, rule }: Budget): Admission["budgets"][number] {
    const limit = rule.case === "fixedWindow" ? rule.value.limit : 0;
    const window = windows.get(key);
    if (!window || window.endsMs <= clock.ms) return { limit, remaining: limit, resetMs: 0 };
    return { limit, remaining: limit - window.count, resetMs: window.endsMs - clock.ms };
  }

  function take({ key, rule }: Budget): void {
    const seconds = rule.case === "fixedWindow" ? rule.value.windowSeconds : 0;
    const window = windows.get(key);
    if (window && window.endsMs > clock.ms) window.count += 1;
    else windows.set(key, { count: 1, endsMs: clock.ms + seconds * 1000 });
  }

  async function send(delivery: Delivery = {}): Promise<HookReply & { text: string }> {
    const path = `/api/open/v1/incoming/${delivery.token ?? TOKEN}`;
    const body = Buffer.from(delivery.body ?? JSON.stringify(delivery.json ?? { text: "x" }));
    const sent = {
      path,
      body,
      method: delivery.method ?? "POST",
      headers: {
        host: "127.0.0.1:8065",
        "content-type": "application/json",
        ...delivery.headers,
      },
      source: delivery.source ?? "192.0.2.1",
    };
    const reply = await sendThrough(monotree, gate, sent, { read, assigned });
    return { ...reply, text: JSON.stringify(reply) };
  }
}
