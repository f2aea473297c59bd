/** What stands behind a token: whether it may be used, by whom its messages are written, and where they go. */
import {
  type Channel,
  HookAction,
  HookState,
  type User,
} from "@headgate/proto/registry/v1/registry";
import type { Gate, Hook, HookRequest } from "../../dialect.ts";
import { refuse } from "./errors.ts";

/** A hook that may be used, with its room and its writer. */
export type Sender = { readonly hook: Hook; readonly channel: Channel; readonly writer: User };

/** What a token may look like. The API: 20 to 128 characters of base64url. */
const TOKEN = /^[A-Za-z0-9_-]{20,128}$/;

/** ms after which a sender may ask whether the action is served: not soon, it takes a newer server. */
const ACTION_RETRY_MS = 3_600_000;

/**
 * The hook of a request's token; undefined when the token is malformed, unknown, or of a team with another host.
 * @throws AppError unavailable when it is not known here and the registry is away
 */
export async function findHook(gate: Gate, request: HookRequest): Promise<Hook | undefined> {
  const token = request.params.token ?? "";
  const hook = TOKEN.test(token) ? await gate.findHook("monotree", token) : undefined;
  if (!hook || hook.team.host === "") return hook;
  return readHost(request.headers.host) === hook.team.host ? hook : undefined;
}

/**
 * The sender of a hook that may be used.
 * @throws Refusal `hook_unknown`, `hook_revoked`, `target_gone`, `hook_disabled`, `action_unavailable`: the first that holds
 */
export function checkHook(hook: Hook | undefined): Sender {
  if (!hook) throw refuse("hook_unknown");
  const { record, channel } = hook;
  if (record.state === HookState.REVOKED) throw refuse("hook_revoked");
  // Only the target of a chat message is known here.
  const isChat = record.action === HookAction.CHAT_MESSAGE;
  const writer = record.botId === "" ? hook.owner : hook.bot;
  const isGone = isChat && (!channel || channel.archivedAt !== undefined);
  if (isGone || !writer || writer.deactivatedAt !== undefined) throw refuse("target_gone");
  if (record.state !== HookState.ACTIVE) throw refuse("hook_disabled");
  if (!isChat || !channel) throw refuse("action_unavailable", ACTION_RETRY_MS);
  return { hook, channel, writer };
}

/** The host a sender asked for: lower case, without port. */
function readHost(header: string | undefined): string {
  return (header ?? "").toLowerCase().replace(/:\d*$/, "");
}
