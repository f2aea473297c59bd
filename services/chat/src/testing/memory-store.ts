/** The storage of chat in memory, for tests: passes the same suite as store.ts. */
import { clone } from "@bufbuild/protobuf";
import { type Message, MessageSchema } from "@headgate/proto/chat/v1/chat";
import type { ChatStore } from "../service.ts";

/** An empty store. */
export function createMemoryStore(): ChatStore {
  const messages = new Map<string, Message>();
  const counters = new Map<string, bigint>();
  return { findRoots, insertMessages, readMessages, listMessages, listReplies };

  async function findRoots(ids: readonly string[]) {
    return (await readMessages(ids)).map(({ id, channelId, rootId }) => ({
      id,
      channelId,
      rootId,
    }));
  }

  async function insertMessages(drafts: readonly Message[]) {
    const positions = new Map<string, bigint>();
    for (const draft of drafts) {
      if (messages.has(draft.id)) continue;
      const position = (counters.get(draft.channelId) ?? 0n) + 1n;
      counters.set(draft.channelId, position);
      positions.set(draft.id, position);
      messages.set(draft.id, Object.assign(clone(MessageSchema, draft), { position }));
    }
    return positions;
  }

  async function readMessages(ids: readonly string[]) {
    return [...messages.values()].filter(({ id }) => ids.includes(id)).map(copy);
  }

  async function listMessages({
    channelId,
    limit,
    bound,
  }: Parameters<ChatStore["listMessages"]>[0]) {
    const all = sorted((message) => message.channelId === channelId);
    if (bound?.case === "after") {
      return all.filter(({ position }) => position > bound.value).slice(0, limit);
    }
    const below = bound ? all.filter(({ position }) => position < bound.value) : all;
    return below.reverse().slice(0, limit);
  }

  async function listReplies({ rootId, limit, after }: Parameters<ChatStore["listReplies"]>[0]) {
    const all = sorted((message) => message.rootId === rootId);
    return all.filter(({ position }) => position > after).slice(0, limit);
  }

  function sorted(keep: (message: Message) => boolean): Message[] {
    const kept = [...messages.values()].filter(keep).map(copy);
    return kept.sort((a, b) => Number(a.position - b.position));
  }
}

function copy(message: Message): Message {
  return clone(MessageSchema, message);
}
