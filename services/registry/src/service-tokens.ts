/** Rules of bearer tokens and sessions: making, showing, ending; logging in and out. */
import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import type {
  CreateTokenRequest,
  GetTokenRequest,
  ListTokensRequest,
  RevokeTokenRequest,
} from "@headgate/proto/registry/v1/management";
import {
  type LogInRequest,
  type LogOutRequest,
  RevokedTokenSchema,
  type Token,
  TokenSchema,
  type User,
} from "@headgate/proto/registry/v1/registry";
import { createToken as createSecret, digestOf, hintOf } from "./credential.ts";
import { createFaults } from "./faults.ts";
import {
  act,
  announced,
  createOnce,
  gone,
  knowActor,
  missing,
  readPage,
  type Scene,
  show,
} from "./service-change.ts";
import type { Announcement, Changes, Deps, Reader } from "./service-deps.ts";

/** How long a session lives. */
const SESSION_MS = 30 * 86_400_000;
/** UTF-16 units of a password, at most: twice its code points. */
const PASSWORD_MAX = 256;
/** Code points of a token's name. */
const NAME_MAX = 128;

/** Each rule answers its rpc; the proto says what it throws. */
export function createTokenRules(deps: Omit<Deps, "sealer">) {
  const { store, now, passwords, throttle } = deps;
  return { createToken, getToken, listTokens, revokeToken, logIn, logOut };

  /** For oneself, or for a bot of one's own. */
  async function createToken(request: CreateTokenRequest) {
    return await createOnce(
      deps,
      { kind: "token", id: request.id, actor: request.actor },
      async () => ({ ...(await makeToken(request)), existed: false }),
      async (id) => ({ ...(await getToken({ actor: request.actor, id })), existed: true }),
    );
  }

  async function makeToken(request: CreateTokenRequest) {
    return await act(deps, request.actor, async ({ tx, actor, at, record }) => {
      const faults = createFaults();
      faults.id("/id", request.id);
      faults.text("/name", request.name, { min: 1, max: NAME_MAX });
      const isLater = !request.expiresAt || timestampDate(request.expiresAt) > at;
      faults.check(isLater, "/expires_at", "must be in the future");
      const user = await tx.lockUser(request.userId || actor.id);
      const isMine = user !== undefined && (user.id === actor.id || user.ownerId === actor.id);
      faults.check(isMine, "/user_id", "must be oneself or an own bot");
      faults.check(!isMine || !user.deactivatedAt, "/user_id", "is deactivated");
      faults.throwAny();
      const secret = createSecret();
      const token = create(TokenSchema, {
        id: request.id || deps.createId(),
        userId: user?.id ?? "",
        name: request.name,
        hint: hintOf(secret),
        createdAt: timestampFromDate(at),
        expiresAt: request.expiresAt,
      });
      token.position = await tx.insertToken(token, digestOf(secret), actor.id);
      await record({
        action: "token.created",
        subject: `token:${token.id}`,
        after: show(TokenSchema, token),
        announce: [],
      });
      return { token, secret };
    });
  }

  async function getToken({ actor, id }: Pick<GetTokenRequest, "actor" | "id">) {
    const viewer = await knowActor(store, actor);
    return { token: await seeToken(store, viewer, await store.findToken(id)) };
  }

  /** One's own, those of one's own bots; a system admin, anybody's. Sessions and revoked ones too. */
  async function listTokens({ actor, page, userId }: ListTokensRequest) {
    const viewer = await knowActor(store, actor);
    const window = readPage(page);
    const user = userId === "" ? viewer : await store.findUser(userId);
    if (!user || !mayHold(viewer, user)) throw missing("user");
    return { tokens: await store.listTokens({ window, userId: user.id }) };
  }

  async function revokeToken({ actor: asker, id }: RevokeTokenRequest) {
    return await act(deps, asker, async (scene) => {
      const { tx, actor, record } = scene;
      const before = await seeToken(tx, actor, await tx.lockToken(id));
      if (before.revokedAt) return {};
      await record({
        action: "token.revoked",
        subject: `token:${id}`,
        before: show(TokenSchema, before),
        announce: await endTokens(scene, { id }),
      });
      return {};
    });
  }

  /** Works as long for a name that nobody has as for a wrong password. */
  async function logIn(request: LogInRequest) {
    const name = request.name.toLowerCase();
    const attempt = { name, source: request.source };
    throttle.check(attempt);
    const user = await store.findUserByName(name);
    const hash = user && (await store.findPasswordHash(user.id));
    // No password is longer, so a longer one is not worth hashing: it is as wrong as none.
    const password = request.password.length > PASSWORD_MAX ? "" : request.password;
    const isRight = await passwords.verify(password, hash);
    if (!user || !isRight || user.isBot || user.deactivatedAt) {
      throttle.fail(attempt);
      throw wrong();
    }
    throttle.clear(attempt);
    const at = now();
    const secret = createSecret();
    const expiresAt = new Date(at.getTime() + SESSION_MS);
    const session = create(TokenSchema, {
      id: deps.createId(),
      userId: user.id,
      name: "session",
      hint: hintOf(secret),
      isSession: true,
      createdAt: timestampFromDate(at),
      expiresAt: timestampFromDate(expiresAt),
    });
    await store.change(async (tx) => {
      // Checking took a while: a session must not outlive what ended the others meanwhile.
      const current = await tx.lockUser(user.id);
      const isSame = (await tx.findPasswordHash(user.id)) === hash;
      if (!isSame || current?.deactivatedAt) throw wrong();
      await tx.forgetSessions(user.id, at);
      await tx.insertToken(session, digestOf(secret), user.id);
    });
    return { token: secret, user, expiresAt: timestampFromDate(expiresAt) };
  }

  async function logOut({ tokenDigest }: LogOutRequest) {
    const token = await store.findTokenByDigest(tokenDigest);
    if (!token?.isSession || token.revokedAt) return {};
    await store.change(async (tx) => {
      tx.announce(await endTokens({ tx, at: now() }, { id: token.id }));
    });
    return {};
  }

  async function seeToken(reader: Reader, viewer: User, token: Token | undefined): Promise<Token> {
    const holder = token && (await reader.findUser(token.userId));
    if (!token || !holder || !mayHold(viewer, holder)) throw missing("token");
    return token;
  }
}

/**
 * Ends tokens within a change; answers what to announce: each as revoked, then as gone. Who follows live drops what it
 * remembers; who starts later has nothing to drop, and the topic does not grow by the tokens of the past.
 */
export async function endTokens(
  { tx, at }: Pick<Scene, "tx" | "at">,
  which: Parameters<Changes["revokeTokens"]>[0],
): Promise<Announcement[]> {
  const ended = await tx.revokeTokens(which, at);
  return ended.flatMap((token) => [
    announced({ case: "revokedToken", value: create(RevokedTokenSchema, token) }),
    gone(`token:${token.id}`),
  ]);
}

function wrong(): AppError {
  return new AppError("unauthenticated", "login_wrong", "The name or the password is wrong.");
}

/** Whose tokens one may see and end. */
function mayHold(viewer: User, holder: User): boolean {
  return viewer.id === holder.id || holder.ownerId === viewer.id || viewer.isSystemAdmin;
}
