/** What stands behind a token: whether it may be used, by whom its messages are written, and where they go. */
import {
  type Channel,
  HookAction,
  HookState,
  type User,
} from "@headgate/proto/registry/v1/registry";
import type { Gate, Hook, HookRequest } from "../../dialect.ts";
import type { Authentication } from "../../ingest/authenticate.ts";
import { findLoss } from "../../ingest/owner.ts";
import { refuse } from "./errors.ts";

/** A hook that may be used, with its room and its writer. */
export type Sender = { readonly hook: Hook; readonly channel: Channel; readonly writer: User };

/** What a token may look like. The API: 20 to 128 characters of base64url. */
const TOKEN = /^[A-Za-z0-9_-]{20,128}$/;

/** ms after which a sender may ask whether the action is served: not soon, it takes a newer server. */
const ACTION_RETRY_MS = 3_600_000;

/** The token of a request; undefined when it has not the form of one. */
function readToken(request: Pick<HookRequest, "params">): string | undefined {
  const token = request.params.token ?? "";
  return TOKEN.test(token) ? token : undefined;
}

/**
 * The hook of a request's token; none when the token is malformed, unknown, or came to another team's host.
 * @throws AppError unavailable when it is not known here and the registry is away
 */
export async function findHook(gate: Gate, request: HookRequest): Promise<Authentication> {
  const found = await gate.authenticate("monotree", readToken(request), request);
  if (!found.hook || isOwnHost(gate, found.hook, request)) return found;
  return gate.authenticate("monotree", undefined, request); // counted as an unknown one
}

/**
 * Whether a request came to a host that the hook's team is served at: not that of another team, and, where the team has a host
 * of its own, that or the one in the URL that the hook's creation returned.
 */
function isOwnHost(gate: Gate, { team }: Hook, request: HookRequest): boolean {
  const host = readHost(request.headers.host);
  if (host === team.host) return true;
  if (gate.directory.teamByHost(host) !== undefined) return false;
  return team.host === "" || host === readHost(new URL(gate.publicUrl).host);
}

/**
 * The sender of a hook that may be used.
 * @throws Refusal `hook_revoked`, `target_gone`, `hook_disabled`, `action_unavailable`: the first that holds
 */
export async function checkHook(gate: Gate, hook: Hook): Promise<Sender> {
  const { record, channel } = hook;
  if (record.state === HookState.REVOKED) throw refuse("hook_revoked");
  // Only the target of a chat message is known here.
  const isChat = record.action === HookAction.CHAT_MESSAGE;
  const writer = record.botId === "" ? hook.owner : hook.bot;
  const isGone = isChat && (!channel || channel.archivedAt !== undefined);
  if (isGone || !writer || (await findLoss(gate, hook))) throw refuse("target_gone");
  if (record.state !== HookState.ACTIVE) throw refuse("hook_disabled");
  if (!isChat || !channel) throw refuse("action_unavailable", ACTION_RETRY_MS);
  return { hook, channel, writer };
}

/** The host a sender asked for: lower case, without port. */
function readHost(header: string | undefined): string {
  return (header ?? "").toLowerCase().replace(/:\d*$/, "");
}
