/** What the others ask while they serve a request: who is this, may they, what is it called. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { isUuid } from "@headgate/kit/ids";
import {
  type AuthoriseRequest,
  HookAction,
  type LookUpRequest,
  type ReserveNumbersRequest,
  type ResolveHookRequest,
  type ResolveTokenRequest,
  type Token,
  type TouchHooksRequest,
} from "@headgate/proto/registry/v1/registry";
import { createFaults } from "./faults.ts";
import { missing } from "./service-change.ts";
import type { Deps } from "./service-deps.ts";
import { mayDo } from "./service-permissions.ts";

/** Integers in one block. */
const NUMBERS_MAX = 100_000;
/** Uses noted in one call. */
const USES_MAX = 1_000;
/** A token's last use is noted at most this often, in ms. */
const TOUCH_EVERY_MS = 60_000;

/** Each rule answers its rpc; the proto says what it throws. */
export function createResolveRules({ store, now }: Pick<Deps, "store" | "now">) {
  return { resolveHook, resolveToken, lookUp, authorise, reserveNumbers, touchHooks };

  async function resolveHook({ credentialDigest }: ResolveHookRequest) {
    const hook = await store.findHookByDigest(credentialDigest);
    if (!hook) throw missing("hook");
    const isChat = hook.action === HookAction.CHAT_MESSAGE;
    const [team, channel, owner, bot] = await Promise.all([
      store.findTeam(hook.teamId),
      isChat ? store.findChannel(hook.targetId) : undefined,
      store.findUser(hook.ownerId),
      hook.botId === "" ? undefined : store.findUser(hook.botId),
    ]);
    return { hook, team, channel, owner, bot };
  }

  async function resolveToken({ tokenDigest }: ResolveTokenRequest) {
    const token = await store.findTokenByDigest(tokenDigest);
    const user = token && (await store.findUser(token.userId));
    const at = now();
    if (!token || !user || user.deactivatedAt || !isLive(token, at)) {
      throw new AppError("unauthenticated", "token_unknown", "The token is not valid.");
    }
    const isNoted = token.lastUsedAt && timestampDate(token.lastUsedAt) > before(at);
    // For people only: a database that takes no writes now must not lock anybody out.
    if (!isNoted) await store.touchToken(token.id, at).catch(() => {});
    return { user, token };
  }

  async function lookUp({ teamId, thing }: LookUpRequest) {
    switch (thing.case) {
      case "channelName":
        return { channel: await store.findChannelByName(teamId, thing.value.toLowerCase()) };
      case "channelId":
        return { channel: await store.findChannel(thing.value) };
      case "userName":
        return { user: await store.findUserByName(thing.value.toLowerCase()) };
      case "userId":
        return { user: await store.findUser(thing.value) };
      case "teamName":
        return { team: await store.findTeamByName(thing.value.toLowerCase()) };
      default:
        return {};
    }
  }

  async function authorise({ userId, permission, targetId }: AuthoriseRequest) {
    const user = await store.findUser(userId);
    return { allowed: user !== undefined && (await mayDo(store, user, permission, targetId)) };
  }

  async function reserveNumbers({ count }: ReserveNumbersRequest) {
    const faults = createFaults();
    faults.check(count >= 1 && count <= NUMBERS_MAX, "/count", `must be from 1 to ${NUMBERS_MAX}`);
    faults.throwAny();
    return { first: await store.reserveNumbers(count) };
  }

  async function touchHooks({ uses }: TouchHooksRequest) {
    const faults = createFaults();
    const isCount = uses.length >= 1 && uses.length <= USES_MAX;
    faults.check(isCount, "/uses", `must be from 1 to ${USES_MAX}`);
    faults.throwAny();
    const known = uses.flatMap(({ hookId, usedAt }) =>
      isUuid(hookId) && usedAt ? [{ hookId, usedAt: timestampDate(usedAt) }] : [],
    );
    if (known.length > 0) await store.touchHooks(known);
    return {};
  }
}

function isLive({ revokedAt, expiresAt }: Token, at: Date): boolean {
  return !revokedAt && (!expiresAt || timestampDate(expiresAt) > at);
}

function before(at: Date): Date {
  return new Date(at.getTime() - TOUCH_EVERY_MS);
}
