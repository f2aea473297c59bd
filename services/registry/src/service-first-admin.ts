/** The first system admin: made on an empty database, and made usable again when an operator asks for it. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import { TokenSchema, type User, UserSchema } from "@headgate/proto/registry/v1/registry";
import { digestOf, hintOf } from "./credential.ts";
import { announced, OPERATOR, show } from "./service-change.ts";
import type { Announcement, Changes, Deps } from "./service-deps.ts";
import { endTokens } from "./service-tokens.ts";

/** The first system admin, as the settings say. */
export type FirstAdmin = {
  readonly name: string;
  readonly password: string | undefined;
  /** A bearer token, "hg_..."; kept as its digest. */
  readonly token: string | undefined;
};

/** Each may run in several replicas at once. */
export function createFirstAdminRules(deps: Omit<Deps, "throttle" | "sealer">) {
  const { store, now, createId, passwords } = deps;
  return { ensureFirstAdmin, recoverAdmin };

  /** Makes the first system admin when there is no user yet. Answers whether it did. */
  async function ensureFirstAdmin(admin: FirstAdmin): Promise<boolean> {
    if (await store.change(async (tx) => !(await tx.lockFirstStart()))) return false;
    const hash = admin.password === undefined ? undefined : await passwords.hash(admin.password);
    const number = await store.reserveNumbers(1);
    return await store.change(async (tx) => {
      // Hashing took a while: another replica may have been faster.
      if (!(await tx.lockFirstStart())) return false;
      const user = await insertAdmin(tx, { name: admin.name, number, hash });
      if (admin.token !== undefined) await insertToken(tx, user, "first admin", admin.token);
      await record(tx, "user.created", undefined, user, []);
      return true;
    });
  }

  /**
   * Gives the account of that name this password and this token, and makes it an active system admin; makes it where
   * there is none. Once for each token: with a token that is known, revoked or not, nothing changes.
   * @returns whether it changed anything
   * @throws AppError failed_precondition `admin_is_bot` when the name is a bot's
   */
  async function recoverAdmin(admin: { [Name in keyof FirstAdmin]: string }): Promise<boolean> {
    const digest = digestOf(admin.token);
    if (await store.findTokenByDigest(digest)) return false;
    const hash = await passwords.hash(admin.password);
    const number = await store.reserveNumbers(1);
    return await store.change(async (tx) => {
      await tx.lockFirstStart(); // one replica at a time
      if (await tx.findTokenByDigest(digest)) return false;
      const found = await tx.findUserByName(admin.name);
      const before = found && (await tx.lockUser(found.id));
      if (before?.isBot) throw new AppError("failed_precondition", "admin_is_bot", "It is a bot.");
      const user = before
        ? await reviveAdmin(tx, before, hash)
        : await insertAdmin(tx, { name: admin.name, number, hash });
      const ended = await endTokens({ tx, at: now() }, { userId: user.id, onlySessions: true });
      await insertToken(tx, user, `recovered ${now().toISOString()}`, admin.token);
      await record(tx, "user.recovered", before, user, ended);
      return true;
    });
  }

  async function insertAdmin(
    tx: Changes,
    { name, number, hash }: { name: string; number: bigint; hash: string | undefined },
  ): Promise<User> {
    const at = timestampFromDate(now());
    const user = create(UserSchema, {
      id: createId(),
      number,
      name,
      displayName: name,
      isSystemAdmin: true,
      createdAt: at,
      updatedAt: at,
    });
    user.position = await tx.insertUser(user, user.id, hash);
    return user;
  }

  async function reviveAdmin(tx: Changes, before: User, hash: string): Promise<User> {
    const user = create(UserSchema, {
      ...before,
      isSystemAdmin: true,
      updatedAt: timestampFromDate(now()),
    });
    user.deactivatedAt = undefined;
    await tx.saveUser(user);
    await tx.savePasswordHash(user.id, hash);
    return user;
  }

  async function insertToken(tx: Changes, user: User, name: string, secret: string): Promise<void> {
    const token = create(TokenSchema, {
      id: createId(),
      userId: user.id,
      name,
      hint: hintOf(secret),
      createdAt: timestampFromDate(now()),
    });
    await tx.insertToken(token, digestOf(secret), user.id);
  }

  async function record(
    tx: Changes,
    action: string,
    before: User | undefined,
    after: User,
    more: readonly Announcement[],
  ): Promise<void> {
    await tx.audit({
      id: createId(),
      at: now(),
      actorId: OPERATOR,
      action,
      subject: `user:${after.id}`,
      before: before && show(UserSchema, before),
      after: show(UserSchema, after),
      traceId: "",
    });
    tx.announce([announced({ case: "user", value: after }), ...more]);
  }
}
