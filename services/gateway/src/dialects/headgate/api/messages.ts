/** Messages of channels: read in both directions, written like every other event. */
import { isUuid } from "@headgate/kit/ids";
import { readMemberText } from "@headgate/kit/json";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Event } from "@headgate/proto/event/v1/event";
import type { Channel } from "@headgate/proto/registry/v1/registry";
import { Type } from "typebox";
import type { Gate } from "../../../dialect.ts";
import { authorOf, chatMessageEvent, timestampOf } from "../../../events.ts";
import { SEVERITIES, toContent } from "../map.ts";
import { renderMessage } from "../message.ts";
import type { SeverityName } from "../schema.ts";
import { API_BASE } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { closed, Id, Link, pageOf, text } from "./forms.ts";
import { MessageForm } from "./message-form.ts";
import { named } from "./named.ts";
import { need } from "./need.ts";
import { pageQuery, renderPage, toPage } from "./page.ts";
import { type AnyRoute, type ApiRequest, route } from "./route.ts";
import { missing } from "./router.ts";
import { bodyInvalid } from "./validate.ts";

const tag = "messages";
/** ms that a writer waits until the message can be read. */
const READABLE_DEADLINE_MS = 5_000;

const Draft = closed({
  text: text({ minLength: 1, maxLength: 10_000 }),
  title: Type.Optional(text({ minLength: 1, maxLength: 10_000 })),
  severity: Type.Optional(
    Type.Unsafe<SeverityName>({ type: "string", enum: Object.keys(SEVERITIES) }),
  ),
  link: Type.Optional(Link),
  fields: Type.Optional(
    Type.Array(
      closed({
        name: text({ minLength: 1, maxLength: 255 }),
        value: text({ minLength: 1, maxLength: 10_000 }),
        short: Type.Optional(Type.Boolean()),
      }),
      { maxItems: 100 },
    ),
  ),
  props: Type.Optional(Type.Object({}, { additionalProperties: true })),
  root_id: Type.Optional(Id),
});
/** Bytes of a draft: room for 100 fields of the longest text. */
const DRAFT_BYTES_MAX = 1024 * 1024;
type DraftBody = Type.Static<typeof Draft>;

const AcceptedForm = named(
  "AcceptedMessage",
  Type.Object({ id: Id, status: Type.Literal("accepted") }),
);

/** The routes of messages. */
export function createMessageRoutes({
  gate,
  management,
  chat,
}: Pick<ApiDeps, "management" | "chat"> & { gate: Gate }): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/channels/{channel_id}/messages",
      operationId: "listMessages",
      summary: "Messages by position; after walks forward without gaps.",
      tag,
      params: { channel_id: "channel" },
      query: closed(pageQuery),
      responses: { 200: { description: "A page of them.", schema: pageOf(MessageForm) } },
      async handler({ actor, query, params: { channel_id: channelId = "" } }) {
        await management.getChannel({ actor, id: channelId });
        const page = { channelId, ...toPage(query) };
        const { messages } = await chat.listMessages(page);
        return { status: 200, body: renderMessages(query, messages) };
      },
    }),
    route({
      method: "post",
      path: "/channels/{channel_id}/messages",
      operationId: "createMessage",
      summary: "Writes a message as the caller, and waits up to 5 s until it can be read.",
      tag,
      params: { channel_id: "channel" },
      body: Draft,
      bodyBytesMax: DRAFT_BYTES_MAX,
      responses: {
        201: {
          description: "The message, as it is read now.",
          schema: MessageForm,
          headers: { Location: "Path of the message." },
          made: "message",
        },
        202: { description: "It is kept, and will be read soon.", schema: AcceptedForm },
      },
      problems: [409],
      async handler(request) {
        const { actor, body, params } = request;
        const { channel } = await management.getChannel({ actor, id: params.channel_id ?? "" });
        const event = toEvent(request, need(channel));
        if (body.root_id !== undefined) await checkRoot(body.root_id, need(channel).id);
        await gate.accept([event]);
        const [message] = (await gate.awaitReadable([event.id], READABLE_DEADLINE_MS)) ?? [];
        if (!message) return { status: 202, body: { id: event.id, status: "accepted" } };
        const headers = { Location: `${API_BASE}/messages/${message.id}` };
        return { status: 201, headers, body: renderMessage(message) };
      },
    }),
    route({
      method: "get",
      path: "/messages/{message_id}",
      operationId: "getMessage",
      summary: "One message.",
      tag,
      params: { message_id: "message" },
      responses: { 200: { description: "The message.", schema: MessageForm } },
      async handler({ actor, params: { message_id: id = "" } }) {
        return { status: 200, body: renderMessage(await findMessage(actor, id)) };
      },
    }),
    route({
      method: "get",
      path: "/messages/{message_id}/replies",
      operationId: "listReplies",
      summary: "The replies to a message, oldest first.",
      tag,
      params: { message_id: "message" },
      query: closed({ limit: pageQuery.limit, after: pageQuery.after }),
      responses: { 200: { description: "A page of them.", schema: pageOf(MessageForm) } },
      async handler({ actor, query, params: { message_id: rootId = "" } }) {
        await findMessage(actor, rootId);
        const { limit } = toPage(query);
        const after = BigInt(query.after ?? 0);
        const { messages } = await chat.listReplies({ rootId, limit, after });
        return {
          status: 200,
          body: renderMessages({ ...query, after: query.after ?? 0 }, messages),
        };
      },
    }),
  ];

  /** @throws AppError not_found `message_unknown`, also where the caller may not read the channel */
  async function findMessage(
    actor: { userId: string; traceId: string },
    id: string,
  ): Promise<Message> {
    const [message] = (await chat.getMessages({ ids: [id] })).messages;
    if (!message) throw missing("message");
    await management.getChannel({ actor, id: message.channelId }).catch((thrown: unknown) => {
      throw isMissing(thrown) ? missing("message") : thrown;
    });
    return message;
  }

  async function checkRoot(rootId: string, channelId: string): Promise<void> {
    const { messages } = isUuid(rootId)
      ? await chat.getMessages({ ids: [rootId] })
      : { messages: [] };
    if (messages.some((root) => root.channelId === channelId && root.rootId === "")) return;
    throw bodyInvalid([
      { pointer: "/root_id", detail: "must be a message of the channel that is no reply" },
    ]);
  }

  function toEvent(
    { body, bodyBytes, caller, newId, traceId }: ApiRequest<unknown, DraftBody>,
    channel: Channel,
  ): Event {
    const { user } = caller;
    return chatMessageEvent({
      id: newId || gate.createId(),
      acceptedAt: timestampOf(gate.now()),
      teamId: channel.teamId,
      origin: { dialect: "headgate", traceId },
      author: authorOf({
        isBot: user.isBot,
        id: user.id,
        name: user.displayName || user.name,
        iconUrl: user.iconUrl,
      }),
      channelId: channel.id,
      rootId: body.root_id ?? "",
      content: toContent({ ...body, propsText: body.props && readMemberText(bodyBytes, "props") }),
    });
  }
}

/** Pages may be short because messages are heavy: backward, only an empty page or the first position is the end. */
function renderMessages(
  query: { limit?: number; before?: number; after?: number },
  messages: readonly Message[],
) {
  const last = messages.at(-1);
  return renderPage(query, messages, {
    render: renderMessage,
    isLast: last === undefined || last.position <= 1n,
  });
}

function isMissing(thrown: unknown): boolean {
  return (
    typeof thrown === "object" && thrown !== null && "code" in thrown && thrown.code === "not_found"
  );
}
