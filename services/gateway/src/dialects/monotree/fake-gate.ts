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
  TeamSchema,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import type {
  Admission,
  Budget,
  Claim,
  Gate,
  Hook,
  HookReply,
  HookRequest,
} from "../../dialect.ts";
import { monotree } from "./index.ts";

/** What a test may change about the world. */
export type World = {
  hook?: MessageInitShape<typeof IncomingHookSchema>;
  host?: string;
  botDeactivated?: boolean;
  roomArchived?: boolean;
  roomGone?: boolean;
  ownerGone?: boolean;
  /** The log refuses every event. */
  logAway?: boolean;
  /** The registry does not answer. */
  registryAway?: boolean;
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
  const gate: Gate = {
    findHook: async (dialect, credential) => {
      if (world.registryAway) throw away;
      return dialect === "monotree" && credential === TOKEN ? hook : undefined;
    },
    admit,
    takeFromCeiling: (_hook, events) => ({ granted: events, retryAfterMs: 0 }),
    peek: async (budgets) => budgets.map((budget) => stateOf(budget)),
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
      team: unused,
      channel: unused,
      channelByName: unused,
      user: unused,
      userByName: unused,
      isChannelMember: unused,
    },
    lookUpChannel: unused,
    publicUrl: "http://127.0.0.1:8065",
  };
  return { send, accepted, touched, clock, claims, hook, owner, bot, room };

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
    for (const route of monotree.hooks(gate)) {
      const params = route.match(path);
      if (!params) continue;
      const request: HookRequest = {
        method: delivery.method ?? "POST",
        params,
        query: "",
        headers: {
          host: "127.0.0.1:8065",
          "content-type": "application/json",
          ...delivery.headers,
        },
        source: delivery.source ?? "192.0.2.1",
        traceId: "0af7651916cd43dd8448eb211c80319c",
        assignTo: () => {},
        readBody: async (bytesMax) => {
          if (body.length <= bytesMax) return body;
          throw new AppError("invalid_argument", "body_too_large", "Too large.", { http: 413 });
        },
      };
      const reply = await route
        .handle(request)
        .catch((thrown) => monotree.renderError(AppError.from(thrown)));
      return { ...reply, text: JSON.stringify(reply) };
    }
    throw new Error(`no route for ${path}`);
  }
}
