/** The rpcs of chat. */
import { implement } from "@headgate/kit/grpc";
import { ChatService as ChatRpc } from "@headgate/proto/chat/v1/chat";
import type { ChatService } from "./service.ts";

/** Joins headgate.chat.v1.ChatService to the rules. */
export function createChatRpc(chat: Omit<ChatService, "post">) {
  return implement(ChatRpc, {
    async listMessages({ channelId, limit, bound }) {
      const page = bound.case === undefined ? { channelId, limit } : { channelId, limit, bound };
      return { messages: await chat.listMessages(page) };
    },
    async getMessages({ ids }) {
      return { messages: await chat.getMessages(ids) };
    },
    async listReplies({ rootId, limit, after }) {
      return { messages: await chat.listReplies({ rootId, limit, after }) };
    },
  });
}
