/** A person or bot as the API writes it. */
import type { User } from "@headgate/proto/registry/v1/registry";
import { Type } from "typebox";
import { Id, nullable, numberOrNull, Time, textOrNull, timeOrNull } from "./forms.ts";
import { named } from "./named.ts";

/** Handle of a person or bot. */
export const UserName = Type.String({ pattern: "^[a-z0-9._-]{1,64}$" });

/** The form. An email is shown to its owner and to system admins. */
export const UserForm = named(
  "User",
  Type.Object({
    id: Id,
    number: nullable(Type.Integer()),
    name: UserName,
    display_name: nullable(Type.String()),
    email: nullable(Type.String()),
    is_bot: Type.Boolean(),
    owner_id: nullable(Id),
    is_system_admin: Type.Boolean(),
    icon_url: nullable(Type.String()),
    created_at: nullable(Time),
    updated_at: nullable(Time),
    deactivated_at: nullable(Time),
  }),
);

/** Renders it. */
export function renderUser(user: User) {
  return {
    id: user.id,
    number: numberOrNull(user.number),
    name: user.name,
    display_name: textOrNull(user.displayName),
    email: textOrNull(user.email),
    is_bot: user.isBot,
    owner_id: textOrNull(user.ownerId),
    is_system_admin: user.isSystemAdmin,
    icon_url: textOrNull(user.iconUrl),
    created_at: timeOrNull(user.createdAt),
    updated_at: timeOrNull(user.updatedAt),
    deactivated_at: timeOrNull(user.deactivatedAt),
  };
}
