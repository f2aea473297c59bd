/** A gate in memory for this dialect's tests: one team, a few channels and people, one hook; it keeps what was accepted. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { type Message, MessageSchema } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import {
  type Channel,
  ChannelSchema,
  HookState,
  IncomingHookSchema,
  type TeamRole,
  TeamSchema,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import type { Admission, Budget, Claim, Gate, Hook, HookReply } from "../../dialect.ts";
import { emptyDirectory, fakeAuthentication, sendThrough } from "../../testing/fake-seam.ts";
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
  ownerDeactivated?: boolean;
  /** The owner's role in the team; a member unless told. */
  role?: TeamRole;
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
  if (world.ownerDeactivated) owner.deactivatedAt = timestampFromMs(1);
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
  const admit: Gate["admit"] = async (budgets, claim) => {
    asked.push({ budgets, claim });
    return {
      decision: "admitted",
      budgets: [],
      retryAfterMs: 0,
      answer: new Uint8Array(),
      ...world.admission,
    };
  };
  const peek: Gate["peek"] = async () => [];
  const gate: Gate = {
    authenticate: fakeAuthentication({
      find: (dialect, credential) =>
        dialect === "mattermost" && credential === HOOK_ID ? hook : undefined,
      admit,
      peek,
    }),
    admit,
    takeFromCeiling: (_hook, events) => ({ granted: events, retryAfterMs: 0 }),
    peek,
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
      ...emptyDirectory,
      ...(world.role !== undefined && { teamRole: () => world.role as TeamRole }), // as just seen
      team: () => hook.team,
      channelByName: (teamId, name) =>
        Object.values(channels).find(
          (channel) => channel.teamId === teamId && channel.name === name,
        ),
      user: (id) => [owner, person].find((user) => user.id === id),
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
  const read: number[] = [];
  const assigned: string[] = [];
  return { send, sendJson, sendTo, accepted, touched, asked, settled, record, read, assigned };

  async function send(delivery: Delivery): Promise<HookReply> {
    return sendTo(`/hooks/${delivery.id ?? HOOK_ID}`, delivery);
  }

  async function sendJson(payload: unknown): Promise<HookReply> {
    return send({ body: JSON.stringify(payload), type: "application/json" });
  }

  async function sendTo(path: string, delivery: Delivery): Promise<HookReply> {
    const sent = {
      path,
      body: Buffer.from(delivery.body),
      query: delivery.query ?? "",
      method: delivery.method ?? "POST",
      traceId: TRACE_ID,
      headers: {
        ...delivery.headers,
        ...(delivery.type !== undefined && { "content-type": delivery.type }),
      },
    };
    return sendThrough(dialect, gate, sent, { read, assigned });
  }
}

/** The UUID's id as a payload writes it. */
export const idOf = idOfUuid;

/** The JSON body of a refusal. */
export function errorOf(reply: HookReply): { id: string; status_code: number; request_id: string } {
  return JSON.parse(String(reply.body));
}
