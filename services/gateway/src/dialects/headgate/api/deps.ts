/** What the management API needs besides the gate. Types only; `main.ts` answers them. */
import type { IncomingMessage } from "node:http";
import type { Client } from "@headgate/kit/grpc";
import type { Log } from "@headgate/kit/log";
import type { Change, ChatService, Message } from "@headgate/proto/chat/v1/chat";
import type { ManagementService } from "@headgate/proto/registry/v1/management";
import type { RegistryChanged, RegistryService } from "@headgate/proto/registry/v1/registry";
import type { BodyRoom } from "../../../body-room.ts";

/** Everything the routes ask of others. */
export type ApiDeps = {
  readonly registry: Pick<Client<typeof RegistryService>, "resolveToken" | "logIn" | "logOut">;
  readonly management: Omit<Client<typeof ManagementService>, typeof Symbol.asyncDispose>;
  readonly chat: Pick<Client<typeof ChatService>, "listMessages" | "getMessages" | "listReplies">;
  readonly feed: Feed;
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

/** The live messages that this process saw, the last 10,000 of them kept. */
export type Feed = {
  /** Names the place after the newest announcement. */
  cursor(): string;
  /** The kept announcements after a cursor, oldest first; `isGap`: some in between are not known here. */
  since(cursor: string): {
    readonly announcements: readonly Announcement[];
    readonly isGap: boolean;
  };
  /** Calls back with each new announcement, at once; returns the way to stop. The listener must not throw. */
  subscribe(listener: (announcement: Announcement) => void): () => void;
  /** Keeps it fed. Nothing is missed from when `live` has resolved (undefined: already) until the release. */
  hold(): { readonly live: Promise<void> | undefined; release(): void };
};

/** A message that became readable, or changed. */
export type Announcement = {
  /** Its place, for Last-Event-ID. */
  readonly cursor: string;
  readonly message: Message;
  readonly change: Change;
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
