/** For tests: the API on a loopback port over parts in memory. Every answer is held against the route's own contract. */
import { createHash } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { createId } from "@headgate/kit/ids";
import { createLog } from "@headgate/kit/log";
import {
  GetMessagesResponseSchema,
  ListMessagesResponseSchema,
  ListRepliesResponseSchema,
  type Message,
  MessageSchema,
} from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import {
  type Channel,
  ChannelSchema,
  LogInResponseSchema,
  LogOutResponseSchema,
  RegistryChangedSchema,
  ResolveTokenResponseSchema,
  TokenSchema,
  UserSchema,
} from "@headgate/proto/registry/v1/registry";
import express from "express";
import { expect } from "vitest";
import { createBodyRoom } from "../../../body-room.ts";
import type { Admission, Claim, Gate } from "../../../dialect.ts";
import { createFeed } from "../../../live/feed.ts";
import { createFakePostedLog } from "../../../testing/fake-posted-log.ts";
import { emptyDirectory } from "../../../testing/fake-seam.ts";
import type { ApiDeps, RegistryRecord, StreamSettings } from "./deps.ts";
import { createApi, createRoutes } from "./index.ts";
import { createCompiler } from "./validate.ts";

/** A token of the right form. */
export const TOKEN = `hg_${"a".repeat(43)}`;
export const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const BASE = "/api/headgate/v1";
const MIB = 1024 * 1024;

/** An answer; `json` is its body, where it is JSON. */
export type Answer = {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever an answer holds, a test says what it must be
  json: any;
};

/** What a test sends; a body that is no text is sent as JSON. */
export type Sent = {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  token?: string | undefined;
};

/** Answers of the registry's management, by method; each test gives those it needs. */
export type Managed = Partial<Record<keyof ApiDeps["management"], (request: never) => object>>;

/** Opens the API over fakes. */
export async function openApi(
  managed: Managed = {},
  settings: Partial<StreamSettings> = {},
  publicUrl = "http://headgate.example",
) {
  const user = create(UserSchema, { id: createId(), name: "ada", displayName: "Ada" });
  const channel = create(ChannelSchema, { id: createId(), teamId: createId(), name: "alerts" });
  const world = {
    isRevoked: false,
    isReadable: true,
    admission: {} as Partial<Admission>,
    /** Address of the caller, and the budgets that were asked for. */
    source: "192.0.2.1",
    budgets: [] as string[],
    /** Tokens that were looked up. */
    resolved: 0,
    messages: [] as Message[],
    gone: new Set<string>(),
    /** Channels besides the first. */
    added: [] as Channel[],
    /** Streams that keep the feed fed, and whether it has to begin first. */
    holds: 0,
    live: undefined as Promise<void> | undefined,
  };
  const accepted: Event[] = [];
  const asked: { method: string; request: unknown }[] = [];
  const claims = new Map<string, { claim: Claim; answer: Uint8Array | undefined }>();
  const posted = createFakePostedLog();
  const feed = createFeed({
    follow: posted.follow,
    getMessages: async () => [],
    countMax: 10_000,
    bytesMax: 64 * 1024 * 1024,
  });
  const watchers = new Set<(change: RegistryRecord) => void>();
  const lines: string[] = [];
  const closing = new AbortController();

  const gate: Gate = {
    authenticate: () => Promise.reject(new Error("the API has no use for this")),
    async admit(budgets, claim) {
      world.budgets.push(...budgets.map(({ key }) => key));
      const base = { decision: "admitted" as const, budgets: [], retryAfterMs: 0, answer: EMPTY };
      if (!claim) return { ...base, ...world.admission };
      const known = claims.get(claim.key);
      if (!known) {
        claims.set(claim.key, { claim, answer: undefined });
        return base;
      }
      const isSame = Buffer.from(known.claim.bodyDigest).equals(claim.bodyDigest);
      return { ...base, decision: isSame ? "replay" : "conflict" };
    },
    takeFromCeiling: (_hook, events) => ({ granted: events, retryAfterMs: 0 }),
    peek: async () => [],
    async settle(claim, answer) {
      if (!answer) claims.delete(claim.key);
    },
    accept: async (events) => {
      accepted.push(...events);
    },
    awaitReadable: async (ids) =>
      world.isReadable ? ids.map((id) => messageOf({ id, channelId: channel.id })) : undefined,
    getMessages: async () => [],
    touchHook: () => {},
    drawNumber: async () => 1n,
    createId,
    now: () => new Date("2026-11-20T10:00:00.123Z"),
    directory: emptyDirectory,
    lookUpChannel: async () => undefined,
    publicUrl,
  };

  const management = Object.fromEntries(
    ManagementService.methods.map((method) => [
      method.localName,
      async (request: unknown) => {
        asked.push({ method: method.localName, request });
        const answer = managed[method.localName as keyof Managed] ?? standard[method.localName];
        if (!answer)
          throw new AppError("internal", "not_faked", `${method.localName} is not faked`);
        return create(method.output, answer(request as never) as MessageInitShape<DescMessage>);
      },
    ]),
  ) as unknown as ApiDeps["management"]; // one function per method of the descriptor
  const standard: Record<string, (request: { id: string }) => object> = {
    getChannel: ({ id }) => {
      if (id !== channel.id || world.gone.has(id)) throw unknown("channel");
      return { channel };
    },
    listChannels: () => ({
      channels: [channel, ...world.added].filter(({ id }) => !world.gone.has(id)),
    }),
  };

  const deps: ApiDeps = {
    registry: {
      async resolveToken({ tokenDigest }) {
        world.resolved += 1;
        const digest = createHash("sha256").update(TOKEN).digest();
        if (world.isRevoked || !digest.equals(tokenDigest ?? EMPTY)) {
          throw new AppError("unauthenticated", "token_unknown", "Unknown.");
        }
        return create(REPLY.resolveToken, { user, token: create(TokenSchema, { id: createId() }) });
      },
      logIn: async ({ password }) => {
        if (password !== "right-password") {
          throw new AppError(
            "unauthenticated",
            "login_wrong",
            "The name or the password is wrong.",
          );
        }
        const expiresAt = timestampFromMs(Date.UTC(2030, 0));
        return create(REPLY.logIn, { token: TOKEN, user, expiresAt });
      },
      logOut: async () => create(REPLY.logOut, {}),
    },
    management,
    chat: {
      listMessages: async (request) => {
        asked.push({ method: "listMessages", request });
        return create(REPLY.listMessages, { messages: world.messages });
      },
      getMessages: async ({ ids }) =>
        create(REPLY.getMessages, {
          messages: world.messages.filter(({ id }) => ids?.includes(id)),
        }),
      listReplies: async (request) => {
        asked.push({ method: "listReplies", request });
        return create(REPLY.listReplies, { messages: world.messages });
      },
    },
    feed: {
      ...feed,
      hold() {
        world.holds += 1;
        const { live, release } = feed.hold();
        return {
          live: world.live ? world.live.then(() => live) : live,
          release: () => {
            world.holds -= 1;
            release();
          },
        };
      },
    },
    streams: { streamsMax: 100, perAccountMax: 50, bufferBytesMax: 8 * 1024 * 1024, ...settings },
    onRegistryChange(listener) {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    status: async () => ({
      version: "1",
      parts: [{ name: "chat", isReady: true }],
      groups: [{ group: "chat", topic: "chat.requested.v1", lag: 2, lagSeconds: 0.5 }],
    }),
    hookUrl: (dialect, credential) => `http://headgate.example/${dialect}/${credential}`,
    sourceOf: () => world.source,
    bodies: createBodyRoom({
      totalBytesMax: 64 * MIB,
      hookBytesMax: 16 * MIB,
      sourceBytesMax: 8 * MIB,
    }),
    closing: closing.signal,
    log: createLog({ service: "gateway", write: (line) => lines.push(line) }),
  };

  const routes = createRoutes(gate, deps);
  const router = createApi(gate, deps);
  const app = express();
  const responses = new Set<ServerResponse>();
  app.use((_req, res, next) => {
    responses.add(res);
    res.once("close", () => responses.delete(res));
    res.setHeader("X-Request-Id", TRACE_ID);
    next();
  });
  app.use(BASE, router);
  const server = createServer(app);
  Object.assign(server, { httpAllowHalfOpen: true }); // as the front door is
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${BASE}`; // a port was asked for
  const check = createContract(routes);

  return {
    url,
    router,
    routes,
    user,
    channel,
    world,
    accepted,
    asked,
    lines,
    watchers,
    responses,
    posted,
    closing,
    send,
    announce: posted.announce,
    change,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await feed[Symbol.asyncDispose]();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function send(path: string, sent: Sent = {}): Promise<Answer> {
    const { method = sent.body === undefined ? "GET" : "POST", body } = sent;
    const token = "token" in sent ? sent.token : TOKEN;
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...sent.headers,
      },
      ...(body !== undefined && {
        body: body instanceof Buffer || typeof body === "string" ? body : JSON.stringify(body),
      }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type") ?? "";
    const answer = {
      status: response.status,
      headers: response.headers,
      json: type.includes("json") && text !== "" ? JSON.parse(text) : text,
    };
    check(method, path.split("?", 1)[0] ?? "", answer);
    return answer;
  }

  function change(
    key: string,
    subject?: MessageInitShape<typeof RegistryChangedSchema>["subject"],
  ) {
    const value = subject ? create(RegistryChangedSchema, { subject }) : null;
    for (const watcher of watchers) watcher({ key, value });
  }
}

/** A message with what matters. */
export function messageOf(
  init: Partial<Pick<Message, "id" | "channelId" | "rootId" | "position">> & {
    content?: { text: string };
  } = {},
): Message {
  return create(MessageSchema, {
    id: createId(),
    channelId: createId(),
    position: 1n,
    count: 1,
    content: { text: "hi" },
    acceptedAt: timestampFromMs(1),
    ...init,
  });
}

/** What the registry says of a thing that is not there. */
export function unknown(noun: string): AppError {
  return new AppError("not_found", `${noun}_unknown`, `There is no such ${noun}.`);
}

/** Holds answers against what the routes declare: status, type, body. */
function createContract(routes: ReturnType<typeof createRoutes>) {
  const compile = createCompiler();
  return function check(method: string, path: string, { status, headers, json }: Answer): void {
    const found = routes.find(
      (candidate) =>
        candidate.method === method.toLowerCase() &&
        new RegExp(`^${candidate.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path),
    );
    expect(headers.get("x-request-id")).toBe(TRACE_ID);
    const spec = found?.responses[status];
    if (status >= 400) {
      expect(headers.get("content-type")).toBe("application/problem+json");
      expect(json).toMatchObject({ status });
    } else {
      expect(spec, `${method} ${path} declares ${status}`).toBeDefined();
      if (spec?.schema) expect(compile(spec.schema)(json)).toEqual([]);
      else expect(json).toBe("");
    }
  };
}

const EMPTY = new Uint8Array();
const REPLY = {
  resolveToken: ResolveTokenResponseSchema,
  logIn: LogInResponseSchema,
  logOut: LogOutResponseSchema,
  listMessages: ListMessagesResponseSchema,
  getMessages: GetMessagesResponseSchema,
  listReplies: ListRepliesResponseSchema,
};
