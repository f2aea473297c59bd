/** Bots: /bots. */
import { Type } from "typebox";
import { created, createdSpec } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { closed, DisplayName, IconLink, Id, pageOf } from "./forms.ts";
import { need } from "./need.ts";
import { isShort, nameQuery, pageQuery, renderPage, toPage } from "./page.ts";
import { type AnyRoute, route } from "./route.ts";
import { missing } from "./router.ts";
import { renderUser, UserForm, UserName } from "./user-form.ts";

const tag = "people";
const params = { bot_id: "bot" };

/** The routes of bots. */
export function createBotRoutes({ management }: Pick<ApiDeps, "management">): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/bots",
      operationId: "listBots",
      summary: "Bots that the caller may know of.",
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
          isBot: true,
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
      path: "/bots",
      operationId: "createBot",
      summary: "Makes a bot that the caller owns.",
      tag,
      body: closed({
        name: UserName,
        display_name: Type.Optional(DisplayName),
        icon_url: Type.Optional(IconLink),
        team_id: Id,
      }),
      responses: { 201: createdSpec("bot", "The bot.", UserForm) },
      problems: [403, 409],
      async handler({ actor, body, newId }) {
        const { bot, existed } = await management.createBot({
          actor,
          id: newId,
          name: body.name,
          displayName: body.display_name ?? "",
          iconUrl: body.icon_url ?? "",
          teamId: body.team_id,
        });
        const made = need(bot);
        return created(`/bots/${made.id}`, renderUser(made), existed);
      },
    }),
    route({
      method: "get",
      path: "/bots/{bot_id}",
      operationId: "getBot",
      summary: "One bot.",
      tag,
      params,
      responses: { 200: { description: "The bot.", schema: UserForm } },
      async handler({ actor, params: { bot_id: id = "" } }) {
        return { status: 200, body: renderUser(await findBot(actor, id)) };
      },
    }),
    route({
      method: "patch",
      path: "/bots/{bot_id}",
      operationId: "updateBot",
      summary:
        "Changes what is given. owner_id: by admins of all teams of the bot; it ends the bot's tokens.",
      tag,
      params,
      body: closed({
        display_name: Type.Optional(DisplayName),
        icon_url: Type.Optional(IconLink),
        is_active: Type.Optional(Type.Boolean()),
        owner_id: Type.Optional(Id),
      }),
      responses: { 200: { description: "The bot.", schema: UserForm } },
      problems: [403, 409],
      async handler({ actor, body, params: { bot_id: id = "" } }) {
        await findBot(actor, id);
        const { user } = await management.updateUser({
          actor,
          id,
          displayName: body.display_name,
          iconUrl: body.icon_url,
          isActive: body.is_active,
          ownerId: body.owner_id,
        });
        return { status: 200, body: renderUser(need(user)) };
      },
    }),
    route({
      method: "delete",
      path: "/bots/{bot_id}",
      operationId: "deactivateBot",
      summary: "Deactivates: ends its tokens; what it wrote stays.",
      tag,
      params,
      responses: { 204: { description: "Done; again: done." } },
      problems: [403],
      async handler({ actor, params: { bot_id: id = "" } }) {
        await findBot(actor, id);
        await management.deactivateUser({ actor, id });
        return { status: 204 };
      },
    }),
  ];

  /** @throws AppError not_found `bot_unknown`, for people too */
  async function findBot(actor: { userId: string; traceId: string }, id: string) {
    const { user } = await management.getUser({ actor, id }).catch((thrown: unknown) => {
      throw isMissing(thrown) ? missing("bot") : thrown;
    });
    if (!user?.isBot) throw missing("bot");
    return user;
  }
}

function isMissing(thrown: unknown): boolean {
  return (
    typeof thrown === "object" && thrown !== null && "code" in thrown && thrown.code === "not_found"
  );
}
