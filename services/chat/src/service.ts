/** The rules of chat: what an event becomes, once, and what may be read. No I/O of its own. */
import { AppError } from "@headgate/kit/errors";
import { isUuid } from "@headgate/kit/ids";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import { resolveRoot, type StoredRoot } from "./root.ts";

/** What the service needs of its storage. */
export type ChatStore = {
  /** Of these ids, the messages that exist: where they are and what they reply to. */
  findRoots(ids: readonly string[]): Promise<StoredRoot[]>;
  /**
   * Writes messages in their order, each id once, all in one statement; ids must differ from one another.
   * @returns the position of each message that was new; a taken id is left as it is and is not among them
   */
  insertMessages(messages: readonly Message[]): Promise<Map<string, bigint>>;
  /** The messages of these ids that exist, in no particular order. */
  readMessages(ids: readonly string[]): Promise<Message[]>;
  /**
   * A page of a channel; shorter than its limit when messages are heavy, empty only at the end. Without a bound, and with `before`: newest first; with `after`: oldest first.
   */
  listMessages(page: MessagePage): Promise<Message[]>;
  /** A page of the replies to a root message, oldest first; shorter likewise. */
  listReplies(page: { rootId: string; limit: number; after: bigint }): Promise<Message[]>;
};

/** Which part of a channel to read; positions are exclusive. */
export type MessagePage = {
  readonly channelId: string;
  readonly limit: number;
  readonly bound?: { readonly case: "before" | "after"; readonly value: bigint };
};

/** What became of one event: the stored message, or why it can never be one. */
export type Verdict = { readonly message: Message } | { readonly refused: string };

/** The service. */
export type ChatService = ReturnType<typeof createChatService>;

/** Most messages on a page. */
const PAGE_MAX = 200;
/** Most ids in one question. */
const IDS_MAX = 1000;

/** Wires the rules to their storage. */
export function createChatService({ store }: { store: ChatStore }) {
  return { post, listMessages, getMessages, listReplies };

  /**
   * Posts many at once, each once: an event whose id is taken changes nothing and gives the message as it is stored.
   * @returns one verdict per event, in their order; events of one id share the first one's
   */
  async function post(events: readonly Event[]): Promise<Verdict[]> {
    const verdicts = events.map(judge);
    const drafts = new Map<string, Message>();
    for (const verdict of verdicts) {
      if (!("message" in verdict) || drafts.has(verdict.message.id)) continue;
      drafts.set(verdict.message.id, verdict.message);
    }
    const written = await write([...drafts.values()]);
    return verdicts.map((verdict) => {
      if (!("message" in verdict)) return verdict;
      return { message: written.get(verdict.message.id) ?? verdict.message };
    });
  }

  /** Stores drafts of different ids; every one of them comes back, by id, as it is stored now. */
  async function write(drafts: readonly Message[]): Promise<Map<string, Message>> {
    const written = new Map<string, Message>();
    if (drafts.length === 0) return written;
    await attachReplies(drafts);
    const positions = await store.insertMessages(drafts);
    const taken: string[] = [];
    for (const draft of drafts) {
      const position = positions.get(draft.id);
      if (position === undefined) taken.push(draft.id);
      else written.set(draft.id, Object.assign(draft, { position }));
    }
    if (taken.length === 0) return written;
    for (const message of await store.readMessages(taken)) written.set(message.id, message);
    // Neither new nor there: it was deleted between the two statements. Coming again settles it.
    if (written.size < drafts.length) {
      throw new AppError("aborted", "message_vanished", "A message vanished while it was read.");
    }
    return written;
  }

  /** Replaces what replies name by the root they hang on. Asks the storage only when there are replies. */
  async function attachReplies(drafts: readonly Message[]): Promise<void> {
    const wanted = drafts.filter(({ rootId }) => rootId !== "").map(({ rootId }) => rootId);
    if (wanted.length === 0) return;
    const roots = new Map<string, StoredRoot>();
    for (const root of await store.findRoots([...new Set(wanted)])) roots.set(root.id, root);
    for (const draft of drafts) {
      draft.rootId = resolveRoot(draft, roots);
      if (!roots.has(draft.id)) roots.set(draft.id, draft);
    }
  }

  /** @throws AppError invalid_argument `request_invalid` when an id or a bound is out of its form */
  async function listMessages(page: MessagePage): Promise<Message[]> {
    check(isUuid(page.channelId), "channel_id must be a UUID");
    check(isLimit(page.limit), `limit must be 1 to ${PAGE_MAX}`);
    const { bound } = page;
    check(bound?.case !== "before" || bound.value >= 1n, "before must be at least 1");
    check(bound?.case !== "after" || bound.value >= 0n, "after must be at least 0");
    return store.listMessages(page);
  }

  /** @throws AppError invalid_argument `request_invalid` */
  async function getMessages(ids: readonly string[]): Promise<Message[]> {
    check(ids.length >= 1 && ids.length <= IDS_MAX, `ids must be 1 to ${IDS_MAX}`);
    check(ids.every(isUuid), "ids must be UUIDs");
    return store.readMessages(ids);
  }

  /** @throws AppError invalid_argument `request_invalid` */
  async function listReplies(page: {
    rootId: string;
    limit: number;
    after: bigint;
  }): Promise<Message[]> {
    check(isUuid(page.rootId), "root_id must be a UUID");
    check(isLimit(page.limit), `limit must be 1 to ${PAGE_MAX}`);
    check(page.after >= 0n, "after must be at least 0");
    return store.listReplies(page);
  }
}

/**
 * The message that an event asks for, without a position yet; or why it can never be one. Written out with every member,
 * as `create` would leave it: it is made for each event, and a literal costs a tenth.
 */
function judge(event: Event): Verdict {
  if (event.action.case !== "chatMessage") return { refused: "not_a_chat_message" };
  const chat = event.action.value;
  if (!isUuid(event.id)) return { refused: "id_malformed" };
  if (!isUuid(event.teamId) || !isUuid(chat.channelId)) return { refused: "target_malformed" };
  if (!event.acceptedAt) return { refused: "accepted_at_missing" };
  const message: Message = {
    $typeName: "headgate.chat.v1.Message",
    id: event.id,
    teamId: event.teamId,
    channelId: chat.channelId,
    position: 0n,
    origin: event.origin,
    author: event.author,
    number: event.number,
    content: chat.content,
    rootId: isUuid(chat.rootId) ? chat.rootId : "",
    fold: chat.fold,
    priority: chat.priority,
    kind: chat.kind,
    count: 1,
    acceptedAt: event.acceptedAt,
    firstAt: undefined,
    lastAt: undefined,
    editedAt: undefined,
  };
  return { message };
}

function isLimit(limit: number): boolean {
  return Number.isInteger(limit) && limit >= 1 && limit <= PAGE_MAX;
}

function check(holds: boolean, message: string): void {
  if (!holds) throw new AppError("invalid_argument", "request_invalid", message);
}
