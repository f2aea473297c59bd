/** What the management API needs besides the gate. Types only; `main.ts` answers them. */
import type { IncomingMessage } from "node:http";
import type { Client } from "@headgate/kit/grpc";
import type { Log } from "@headgate/kit/log";
import type { ChatService } from "@headgate/proto/chat/v1/chat";
import type { ManagementService } from "@headgate/proto/registry/v1/management";
import type { RegistryChanged, RegistryService } from "@headgate/proto/registry/v1/registry";
import type { BodyRoom } from "../../../body-room.ts";
import type { LiveFeed } from "../../../live/feed.ts";

/** Everything the routes ask of others. */
export type ApiDeps = {
  readonly registry: Pick<Client<typeof RegistryService>, "resolveToken" | "logIn" | "logOut">;
  readonly management: Omit<Client<typeof ManagementService>, typeof Symbol.asyncDispose>;
  readonly chat: Pick<Client<typeof ChatService>, "listMessages" | "getMessages" | "listReplies">;
  readonly feed: LiveFeed;
  readonly streams: StreamSettings;
  /** Calls back with every change of the registry, once the gateway's copy has it; returns the way to stop. */
  readonly onRegistryChange: (listener: (change: RegistryRecord) => void) => () => void;
  /** The state of the parts; asked at most once a second. */
  readonly status: () => Promise<StatusReport>;
  /** The absolute URL of a hook's endpoint, given its dialect and credential. */
  readonly hookUrl: (dialect: string, credential: string) => string;
  /** Address of the caller, behind trusted proxies the forwarded one. */
  readonly sourceOf: (req: IncomingMessage) => string;
  /** Where the bytes of request bodies are counted. */
  readonly bodies: BodyRoom;
  /** Aborted when the process stops: live streams end, so that draining need not wait for them. */
  readonly closing?: AbortSignal;
  readonly log: Log;
};

/** Bounds of the live streams of this process. */
export type StreamSettings = {
  readonly streamsMax: number;
  readonly perAccountMax: number;
  /** Bytes that may wait for all slow readers together. */
  readonly bufferBytesMax: number;
  /** ms between heartbeats, and without progress until a reader is disconnected; absent: the usual ones. For tests. */
  readonly heartbeatMs?: number;
  readonly stallMs?: number;
};

/** A record of the registry's topic; a null value says that the thing of the key is gone. */
export type RegistryRecord = { readonly key: string; readonly value: RegistryChanged | null };

/** What GET /status shows. */
export type StatusReport = {
  readonly version: string;
  readonly parts: readonly {
    readonly name: string;
    readonly isReady: boolean;
    /** Undefined where it is not known. */
    readonly version?: string | undefined;
  }[];
  readonly groups: readonly {
    readonly group: string;
    readonly topic: string;
    /** Records that are not yet done. */
    readonly lag: number;
    /** Age of the oldest of them; undefined where it is not known. */
    readonly lagSeconds?: number | undefined;
  }[];
  /** Undefined: nothing waits, or it is not known. */
  readonly oldestUndelivered?: Date | undefined;
};
