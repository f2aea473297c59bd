/** A gate in memory for this dialect's tests: one team, a few channels and people, one hook; it keeps what was accepted. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { type Message, MessageSchema } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import {
  type Channel,
  ChannelSchema,
  HookState,
  IncomingHookSchema,
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
import { idOfUuid } from "./id.ts";
import { createMattermost } from "./index.ts";
import type { Switches } from "./routes.ts";

/** What a test may change about the world. */
export type World = {
  hook?: MessageInitShape<typeof IncomingHookSchema>;
  switches?: Partial<Switches>;
  admission?: Partial<Admission>;
  messages?: readonly Message[];
  /** Members of the private channel `p`. */
  members?: readonly string[];
  ownerGone?: boolean;
  refuse?: AppError;
};

/** What a test sends; `type` is the Content-Type, none when undefined. */
export type Delivery = {
  body: string | Buffer;
  type?: string | undefined;
  query?: string;
  id?: string;
  method?: string;
  headers?: Record<string, string>;
};

export const TEAM_ID = createId();
export const OWNER_ID = createId();
export const PERSON_ID = createId();
export const HOOK_ID = "8636fjdptj8e8mwnmx9pmjxbzo";
export const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const channelOf = (name: string, init: { isPrivate?: boolean; teamId?: string } = {}) =>
  create(ChannelSchema, {
    id: createId(),
    teamId: TEAM_ID,
    name,
    displayName: `The ${name}`,
    ...init,
  });
export const channels = {
  c1: channelOf("c1"),
  c2: channelOf("c2"),
  p: channelOf("p", { isPrivate: true }),
  gone: create(ChannelSchema, { ...channelOf("gone"), archivedAt: timestampFromMs(1) }),
};

/** A message as chat would return it. */
export function messageOf(channel: Channel, rootId = ""): Message {
  return create(MessageSchema, { id: createId(), channelId: channel.id, rootId });
}

/** The dialect over a fake gate: `send` answers as the front door would, `accepted` holds the events. */
export function openWorld(world: World = {}) {
  const accepted: Event[] = [];
  const touched: string[] = [];
  const asked: { budgets: readonly Budget[]; claim: Claim | undefined }[] = [];
  const settled: (Uint8Array | undefined)[] = [];
  const owner = create(UserSchema, { id: OWNER_ID, name: "a", displayName: "Ada" });
  const person = create(UserSchema, { id: PERSON_ID, name: "m" });
  const record = create(IncomingHookSchema, {
    id: createId(),
    teamId: TEAM_ID,
    dialect: "mattermost",
    targetId: channels.c1.id,
    name: "Alerts",
    ownerId: OWNER_ID,
    state: HookState.ACTIVE,
    ...world.hook,
  });
  const hook: Hook = {
    record,
    team: create(TeamSchema, { id: TEAM_ID, name: "t" }),
    owner: world.ownerGone ? undefined : owner,
    bot: undefined,
    channel: Object.values(channels).find(({ id }) => id === record.targetId),
  };
  const gate: Gate = {
    findHook: async (dialect, credential) =>
      dialect === "mattermost" && credential === HOOK_ID ? hook : undefined,
    admit: async (budgets, claim) => {
      asked.push({ budgets, claim });
      return {
        decision: "admitted",
        budgets: [],
        retryAfterMs: 0,
        answer: new Uint8Array(),
        ...world.admission,
      };
    },
    takeFromCeiling: (_hook, events) => ({ granted: events, retryAfterMs: 0 }),
    peek: async () => [],
    settle: async (_claim, answer) => {
      settled.push(answer);
    },
    accept: async (events) => {
      if (world.refuse) throw world.refuse;
      accepted.push(...events);
    },
    awaitReadable: async () => undefined,
    getMessages: async (ids) => (world.messages ?? []).filter(({ id }) => ids.includes(id)),
    touchHook: (id) => touched.push(id),
    drawNumber: async () => 1n,
    createId,
    now: () => new Date("2026-11-20T10:00:00Z"),
    directory: {
      team: () => hook.team,
      channel: () => undefined,
      channelByName: (teamId, name) =>
        Object.values(channels).find(
          (channel) => channel.teamId === teamId && channel.name === name,
        ),
      user: (id) => [owner, person].find((user) => user.id === id),
      userByName: () => undefined,
      isChannelMember: (channelId, userId) =>
        channelId === channels.p.id && (world.members ?? []).includes(userId),
    },
    lookUpChannel: async () => undefined,
    publicUrl: "http://127.0.0.1:8065",
  };
  const dialect = createMattermost({
    incomingWebhooks: true,
    usernameOverride: true,
    iconOverride: true,
    ...world.switches,
  });
  return { send, sendJson, sendTo, accepted, touched, asked, settled, record };

  async function send(delivery: Delivery): Promise<HookReply> {
    return sendTo(`/hooks/${delivery.id ?? HOOK_ID}`, delivery);
  }

  async function sendJson(payload: unknown): Promise<HookReply> {
    return send({ body: JSON.stringify(payload), type: "application/json" });
  }

  async function sendTo(path: string, delivery: Delivery): Promise<HookReply> {
    for (const route of dialect.hooks(gate)) {
      const params = route.match(path);
      if (!params) continue;
      const request: HookRequest = {
        method: delivery.method ?? "POST",
        params,
        query: delivery.query ?? "",
        headers: {
          ...delivery.headers,
          ...(delivery.type !== undefined && { "content-type": delivery.type }),
        },
        source: "192.0.2.1",
        traceId: TRACE_ID,
        assignTo: () => {},
        readBody: async (bytesMax) => {
          const body = Buffer.from(delivery.body);
          if (body.length <= bytesMax) return body;
          throw new AppError("invalid_argument", "body_too_large", "Too large.", { http: 413 });
        },
      };
      try {
        return await route.handle(request);
      } catch (thrown) {
        return dialect.renderError(AppError.from(thrown), TRACE_ID);
      }
    }
    throw new Error(`no route for ${path}`);
  }
}

/** The UUID's id as a payload writes it. */
export const idOf = idOfUuid;

/** The JSON body of a refusal. */
export function errorOf(reply: HookReply): { id: string; status_code: number; request_id: string } {
  return JSON.parse(String(reply.body));
}
