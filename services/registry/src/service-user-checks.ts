/** What people and bots may be, and which changes of them are only for some. */
import { AppError } from "@headgate/kit/errors";
import type { User } from "@headgate/proto/registry/v1/registry";
import type { Faults } from "./faults.ts";
import { isGuessable } from "./password-strength.ts";
import { forbidden } from "./service-change.ts";

/** Pattern of the handle of a person or bot. */
export const USER_NAME = /^[a-z0-9._-]{1,64}$/;
/** Handles that mean something else in a message. Mattermost, "Username rules"; ours are the same. */
const RESERVED_NAMES: ReadonlySet<string> = new Set([
  "all",
  "channel",
  "here",
  "matterbot",
  "system",
]);
/** Code points of a display name. */
const DISPLAY_NAME_MAX = 128;
/** Code points of a password. */
const PASSWORD = { min: 8, max: 128 } as const;
const GUESSABLE =
  "is easy to guess: choose one that is no common password, no pattern and not the name; three random words will do";

/** @throws AppError permission_denied for what only system admins (and owners of bots) may change */
export function checkRights(actor: User, before: User, after: User): void {
  if (actor.isSystemAdmin) return;
  const isSwitched = !before.deactivatedAt !== !after.deactivatedAt;
  const isOwner = before.ownerId === actor.id;
  if (before.isSystemAdmin !== after.isSystemAdmin || (isSwitched && !isOwner)) {
    throw forbidden("user_update_forbidden", "Only system admins may do this.");
  }
}

/** @throws AppError failed_precondition `last_admin` when the change would leave no active system admin */
export function keepAnAdmin(adminCount: number, before: User, after: User): void {
  const isAdmin = (user: User) => user.isSystemAdmin && !user.deactivatedAt;
  if (!isAdmin(before) || isAdmin(after) || adminCount > 1) return;
  throw new AppError("failed_precondition", "last_admin", "There must be a system admin.");
}

/** The id and the handle of a new person or bot. */
export function checkNew(faults: Faults, { id, name }: { id: string; name: string }): void {
  faults.id("/id", id);
  if (faults.check(USER_NAME.test(name), "/name", `must match ${USER_NAME.source}`)) {
    faults.check(!RESERVED_NAMES.has(name), "/name", "is reserved");
  }
}

/** What a person or bot may be called and show. */
export function checkUser(faults: Faults, user: User): void {
  faults.text("/display_name", user.displayName, { min: 1, max: DISPLAY_NAME_MAX });
  faults.link("/icon_url", user.iconUrl);
  const isEmail = user.email === "" || /^[^\s@\0]{1,64}@[^\s@\0]{1,189}$/.test(user.email);
  faults.check(isEmail, "/email", "must be an email address");
}

/** A password that may be taken: of a fit length, and not one that guessers try first. Answers whether it is. */
export function checkPassword(
  faults: Faults,
  password: string,
  user: Pick<User, "name" | "displayName" | "email">,
): boolean {
  const pointer = "/password";
  if (!faults.text(pointer, password, PASSWORD)) return false;
  const names = [user.name, user.displayName, user.email];
  return faults.check(!isGuessable(password, names), pointer, GUESSABLE);
}
