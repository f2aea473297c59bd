/** Bearer tokens and sessions as things: /tokens. */
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Token } from "@headgate/proto/registry/v1/registry";
import { Type } from "typebox";
import { created, createdSpec } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { closed, Id, nullable, pageOf, Time, text, textOrNull, timeOrNull } from "./forms.ts";
import { named } from "./named.ts";
import { need } from "./need.ts";
import { isShort, pageQuery, renderPage, toPage } from "./page.ts";
import { type AnyRoute, route } from "./route.ts";

const tag = "tokens";
const params = { token_id: "token" };

const members = {
  id: Id,
  user_id: Id,
  name: nullable(Type.String()),
  hint: nullable(Type.String({ description: "The last characters, to tell tokens apart." })),
  is_session: Type.Boolean(),
  created_at: nullable(Time),
  expires_at: nullable(Time),
  last_used_at: nullable(Time),
  revoked_at: nullable(Time),
};
const TokenForm = named("Token", Type.Object(members));
const NewTokenForm = named(
  "NewToken",
  Type.Object({
    ...members,
    token: nullable(Type.String({ description: "The secret, shown this once; null on a replay." })),
  }),
);

/** The routes of tokens. */
export function createTokenRoutes({ management }: Pick<ApiDeps, "management">): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/tokens",
      operationId: "listTokens",
      summary: "The caller's own tokens and sessions, or those of a bot the caller owns.",
      tag,
      query: closed({ ...pageQuery, user_id: Type.Optional(Id) }),
      responses: { 200: { description: "A page of them.", schema: pageOf(TokenForm) } },
      problems: [404],
      async handler({ actor, query }) {
        const asked = { actor, page: toPage(query), userId: query.user_id ?? "" };
        const { tokens } = await management.listTokens(asked);
        const isLast = isShort(query, tokens);
        return {
          status: 200,
          body: renderPage(query, tokens, { render: renderToken, isLast }),
        };
      },
    }),
    route({
      method: "post",
      path: "/tokens",
      operationId: "createToken",
      summary: "Makes a token for the caller, or for a bot the caller owns.",
      tag,
      body: closed({
        name: text({ minLength: 1, maxLength: 128 }),
        user_id: Type.Optional(Id),
        expires_at: Type.Optional(nullable(Time)),
      }),
      responses: { 201: createdSpec("token", "The token, with its secret.", NewTokenForm) },
      problems: [403, 409],
      async handler({ actor, body, newId }) {
        const { token, secret, existed } = await management.createToken({
          actor,
          id: newId,
          userId: body.user_id ?? actor.userId,
          name: body.name,
          ...(body.expires_at && { expiresAt: timestampFromDate(new Date(body.expires_at)) }),
        });
        const made = need(token);
        const form = { ...renderToken(made), token: textOrNull(secret) };
        return created(`/tokens/${made.id}`, form, existed);
      },
    }),
    route({
      method: "get",
      path: "/tokens/{token_id}",
      operationId: "getToken",
      summary: "One token, without its secret.",
      tag,
      params,
      responses: { 200: { description: "The token.", schema: TokenForm } },
      async handler({ actor, params: { token_id: id = "" } }) {
        const { token } = await management.getToken({ actor, id });
        return { status: 200, body: renderToken(need(token)) };
      },
    }),
    route({
      method: "delete",
      path: "/tokens/{token_id}",
      operationId: "revokeToken",
      summary: "Revokes: from now on it is nobody's.",
      tag,
      params,
      responses: { 204: { description: "Done; again: done." } },
      problems: [403],
      async handler({ actor, params: { token_id: id = "" } }) {
        await management.revokeToken({ actor, id });
        return { status: 204 };
      },
    }),
  ];
}

function renderToken(token: Token) {
  return {
    id: token.id,
    user_id: token.userId,
    name: textOrNull(token.name),
    hint: textOrNull(token.hint),
    is_session: token.isSession,
    created_at: timeOrNull(token.createdAt),
    expires_at: timeOrNull(token.expiresAt),
    last_used_at: timeOrNull(token.lastUsedAt),
    revoked_at: timeOrNull(token.revokedAt),
  };
}
