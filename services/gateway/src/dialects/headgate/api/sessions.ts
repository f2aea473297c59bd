/** Logging in and out, and who one is: /sessions, /me. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { AppError } from "@headgate/kit/errors";
import { Type } from "typebox";
import type { Gate } from "../../../dialect.ts";
import { sourceKey } from "../../../source.ts";
import { csrfTokenOf, SESSION_COOKIE } from "./caller.ts";
import { API_BASE } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { closed, nullable, Time, text, timeOrNull } from "./forms.ts";
import { named } from "./named.ts";
import { need } from "./need.ts";
import { type AnyRoute, route } from "./route.ts";
import { renderUser, UserForm } from "./user-form.ts";

const tag = "sessions";
/**
 * Log-ins in a minute: of one client address, and of one name from all addresses. The name has more, so that one address
 * cannot use up what others need for the name. The registry slows down failing names besides.
 */
const PER_SOURCE = 60;
const PER_NAME = 300;
const WINDOW_SECONDS = 60;
/** Bytes of a log-in: room for the longest name and password, all escaped. Small, because the sender is not known yet. */
const LOGIN_BYTES_MAX = 4 * 1024;
/** ms: checking a password is made slow. */
const LOGIN_DEADLINE_MS = 8_000;

const SessionForm = named(
  "Session",
  Type.Object({
    token: Type.String({
      description: "The session's token, shown this once; the cookie holds it too.",
    }),
    csrf_token: Type.String({ description: "X-CSRF-Token of writes with the cookie." }),
    expires_at: nullable(Time),
    user: UserForm,
  }),
);

const MeForm = named(
  "Me",
  Type.Object({
    ...UserForm.properties,
    csrf_token: nullable(Type.String({ description: "X-CSRF-Token of writes with the cookie." })),
  }),
);

/** The routes of sessions. */
export function createSessionRoutes({
  gate,
  registry,
  sourceOf,
}: Pick<ApiDeps, "registry" | "sourceOf"> & { gate: Gate }): AnyRoute[] {
  const secure = gate.publicUrl.startsWith("https:") ? "; Secure" : "";
  return [
    route({
      method: "post",
      path: "/sessions",
      operationId: "createSession",
      summary:
        "Logs in by name and password; sets the session cookie. Needs Content-Type application/json; an Origin of another site is refused.",
      tag,
      isPublic: true,
      bodyBytesMax: LOGIN_BYTES_MAX,
      body: closed({
        name: text({ minLength: 1, maxLength: 64 }),
        password: text({ minLength: 1, maxLength: 128 }),
      }),
      responses: {
        201: {
          description: "The session.",
          schema: SessionForm,
          headers: { "Set-Cookie": "headgate_session, HttpOnly, SameSite=Lax.", Location: "/me" },
        },
      },
      problems: [401, 403],
      async handler({ body, req }) {
        checkOwnPage(req, gate.publicUrl);
        const source = sourceKey(sourceOf(req));
        await admit(source, body.name);
        const asked = { name: body.name, password: body.password, source };
        const { token, user, expiresAt } = await registry.logIn(asked, {
          deadlineMs: LOGIN_DEADLINE_MS,
        });
        const expires = timeOrNull(expiresAt);
        return {
          status: 201,
          headers: {
            "Set-Cookie": cookie(token, expires === null ? undefined : new Date(expires)),
            Location: `${API_BASE}/me`,
          },
          body: {
            token,
            csrf_token: csrfTokenOf(token),
            expires_at: expires,
            user: renderUser(need(user)),
          },
        };
      },
    }),
    route({
      method: "delete",
      path: "/sessions/current",
      operationId: "deleteSession",
      summary: "Logs out: the session that asks ends. Bearer tokens of their own stay.",
      tag,
      responses: {
        204: { description: "Done.", headers: { "Set-Cookie": "The cookie, emptied." } },
      },
      problems: [403],
      async handler({ caller }) {
        await registry.logOut({ tokenDigest: caller.digest });
        return { status: 204, headers: { "Set-Cookie": cookie("", new Date(0)) } };
      },
    }),
    route({
      method: "get",
      path: "/me",
      operationId: "getMe",
      summary: "Who the caller is.",
      tag,
      responses: { 200: { description: "The caller.", schema: MeForm } },
      async handler({ caller }) {
        const body = { ...renderUser(caller.user), csrf_token: caller.csrfToken ?? null };
        return { status: 200, body };
      },
    }),
  ];

  /** @throws AppError resource_exhausted `login_limited` */
  async function admit(source: string, name: string): Promise<void> {
    // Names are digested: they may be long, and need not be in anybody's memory of budgets.
    const nameDigest = createHash("sha256").update(name.toLowerCase()).digest("base64url");
    const budget = (key: string, limit: number) => ({
      key,
      rule: { case: "fixedWindow" as const, value: { limit, windowSeconds: WINDOW_SECONDS } },
    });
    const { decision, retryAfterMs } = await gate.admit([
      budget(`login:source:${source}`, PER_SOURCE),
      budget(`login:name:${nameDigest}`, PER_NAME),
    ]);
    if (decision !== "limited") return;
    const message = "Too many log-ins. Try again later.";
    throw new AppError("resource_exhausted", "login_limited", message, { retryAfterMs });
  }

  function cookie(token: string, expires: Date | undefined): string {
    const until = expires ? `; Expires=${expires.toUTCString()}` : "";
    return `${SESSION_COOKIE}=${token}; Path=/; HttpOnly; SameSite=Lax${secure}${until}`;
  }
}

/**
 * Refuses what a page of another site can make a browser send: such a page must not log its visitors in as someone else.
 * @throws AppError invalid_argument `media_type` (http 415), permission_denied `origin_foreign`
 */
function checkOwnPage({ headers }: IncomingMessage, publicUrl: string): void {
  if (headers["content-type"] === undefined) {
    const message = "The body must be application/json, and Content-Type must say so.";
    throw new AppError("invalid_argument", "media_type", message, { http: 415 });
  }
  const { origin } = headers;
  if (origin === undefined) return; // no browser sent it
  const given = URL.canParse(origin) ? new URL(origin) : undefined;
  if (given?.host === headers.host || given?.origin === new URL(publicUrl).origin) return;
  const message = "Pages of other sites cannot log in here.";
  throw new AppError("permission_denied", "origin_foreign", message);
}
