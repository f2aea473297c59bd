/** People: /users. */
import { Type } from "typebox";
import { created, createdSpec } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { closed, DisplayName, IconLink, Id, pageOf, text } from "./forms.ts";
import { need } from "./need.ts";
import { isShort, nameQuery, pageQuery, renderPage, toPage } from "./page.ts";
import { type AnyRoute, route } from "./route.ts";
import { renderUser, UserForm, UserName } from "./user-form.ts";

const tag = "people";
const params = { user_id: "user" };
const Email = Type.String({
  maxLength: 254,
  pattern: "^$|^[^\\s@\\u0000\\u0085\\ufeff]{1,64}@[^\\s@\\u0000\\u0085\\ufeff]{1,189}$",
});
const Password = text({ minLength: 8, maxLength: 128 });
/** ms for calls that hash a password. */
const HASHING_DEADLINE_MS = 8_000;

/** The routes of people. */
export function createUserRoutes({ management }: Pick<ApiDeps, "management">): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/users",
      operationId: "listUsers",
      summary: "People that the caller may know of.",
      tag,
      query: closed({ ...pageQuery, ...nameQuery, team_id: Type.Optional(Id) }),
      responses: { 200: { description: "A page of them.", schema: pageOf(UserForm) } },
      problems: [404],
      async handler({ actor, query }) {
        const asked = {
          actor,
          page: toPage(query),
          teamId: query.team_id ?? "",
          name: query.name ?? "",
          isBot: false,
        };
        const { users } = await management.listUsers(asked);
        const isLast = isShort(query, users);
        return {
          status: 200,
          body: renderPage(query, users, { render: renderUser, isLast }),
        };
      },
    }),
    route({
      method: "post",
      path: "/users",
      operationId: "createUser",
      summary: "Makes a person. System admins only.",
      tag,
      body: closed({
        name: UserName,
        display_name: Type.Optional(DisplayName),
        email: Type.Optional(Email),
        password: Type.Optional(Password),
        is_system_admin: Type.Optional(Type.Boolean()),
        icon_url: Type.Optional(IconLink),
        team_id: Type.Optional(Id),
      }),
      responses: { 201: createdSpec("user", "The person.", UserForm) },
      problems: [403, 409],
      async handler({ actor, body, newId }) {
        const { user, existed } = await management.createUser(
          {
            actor,
            id: newId,
            name: body.name,
            displayName: body.display_name ?? "",
            email: body.email ?? "",
            password: body.password ?? "",
            isSystemAdmin: body.is_system_admin ?? false,
            iconUrl: body.icon_url ?? "",
            teamId: body.team_id ?? "",
          },
          { deadlineMs: HASHING_DEADLINE_MS },
        );
        const made = need(user);
        return created(`/users/${made.id}`, renderUser(made), existed);
      },
    }),
    route({
      method: "get",
      path: "/users/{user_id}",
      operationId: "getUser",
      summary: "One person or bot.",
      tag,
      params,
      responses: { 200: { description: "The account.", schema: UserForm } },
      async handler({ actor, params: { user_id: id = "" } }) {
        const { user } = await management.getUser({ actor, id });
        return { status: 200, body: renderUser(need(user)) };
      },
    }),
    route({
      method: "patch",
      path: "/users/{user_id}",
      operationId: "updateUser",
      summary: "Changes what is given. A new password ends all sessions.",
      tag,
      params,
      body: closed({
        display_name: Type.Optional(DisplayName),
        email: Type.Optional(Email),
        password: Type.Optional(Password),
        is_system_admin: Type.Optional(Type.Boolean()),
        icon_url: Type.Optional(IconLink),
        is_active: Type.Optional(Type.Boolean()),
      }),
      responses: { 200: { description: "The account.", schema: UserForm } },
      problems: [403, 409],
      async handler({ actor, body, params: { user_id: id = "" } }) {
        const { user } = await management.updateUser(
          {
            actor,
            id,
            displayName: body.display_name,
            email: body.email,
            password: body.password,
            isSystemAdmin: body.is_system_admin,
            iconUrl: body.icon_url,
            isActive: body.is_active,
          },
          { deadlineMs: HASHING_DEADLINE_MS },
        );
        return { status: 200, body: renderUser(need(user)) };
      },
    }),
    route({
      method: "delete",
      path: "/users/{user_id}",
      operationId: "deactivateUser",
      summary:
        "Deactivates: ends sessions, tokens and bots, disables hooks; what was written stays.",
      tag,
      params,
      responses: { 204: { description: "Done; again: done." } },
      problems: [403, 409],
      async handler({ actor, params: { user_id: id = "" } }) {
        await management.deactivateUser({ actor, id });
        return { status: 204 };
      },
    }),
    route({
      method: "post",
      path: "/users/{user_id}/reactivate",
      operationId: "reactivateUser",
      summary:
        "Lets the person log in again. Tokens stay ended, hooks disabled and bots deactivated until each is switched on by hand.",
      tag,
      params,
      responses: { 200: { description: "The account; again: the same.", schema: UserForm } },
      problems: [403, 409],
      async handler({ actor, params: { user_id: id = "" } }) {
        const { user } = await management.updateUser({ actor, id, isActive: true });
        return { status: 200, body: renderUser(need(user)) };
      },
    }),
  ];
}
