/** Who asks: by bearer token, or by the console's session cookie with a proof that its own page asked. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { AppError } from "@headgate/kit/errors";
import type { Token, User } from "@headgate/proto/registry/v1/registry";
import type { ApiDeps } from "./deps.ts";

/** The person or bot behind a request. */
export type Caller = {
  readonly user: User;
  readonly token: Token;
  /** SHA-256 of the token. */
  readonly digest: Uint8Array;
  /** What writes with the cookie must carry; undefined for bearers. */
  readonly csrfToken: string | undefined;
};

/** Cookie of the console's session. */
export const SESSION_COOKIE = "headgate_session";
const CSRF_HEADER = "x-csrf-token";
const TOKEN = /^hg_[A-Za-z0-9_-]{43}$/;
const SAFE_METHODS = new Set(["GET", "HEAD"]);

/**
 * The caller of a request. A bearer token counts before the cookie.
 * @throws AppError unauthenticated `token_missing`, `token_invalid` (unknown, expired, revoked: one answer);
 * permission_denied `csrf_token_wrong` for a write with the cookie alone
 */
export async function identify(
  { registry }: Pick<ApiDeps, "registry">,
  req: IncomingMessage,
): Promise<Caller> {
  const bearer = readBearer(req);
  const cookie = bearer === undefined ? readCookie(req) : undefined;
  const secret = bearer ?? cookie;
  if (secret === undefined) {
    throw new AppError("unauthenticated", "token_missing", "Please give a bearer token or log in.");
  }
  if (!TOKEN.test(secret)) throw invalid();
  const csrfToken = cookie === undefined ? undefined : csrfTokenOf(cookie);
  if (csrfToken !== undefined && !SAFE_METHODS.has(req.method ?? "")) checkCsrf(req, csrfToken);
  const digest = createHash("sha256").update(secret).digest();
  return { ...(await resolve(registry, digest)), digest, csrfToken };
}

/** What a page must send along to write with a session: only who may read the session's answers can know it. */
export function csrfTokenOf(session: string): string {
  return createHash("sha256").update(`csrf:${session}`).digest("base64url");
}

/**
 * The account behind a token's digest.
 * @throws AppError unauthenticated `token_invalid`
 */
export async function resolve(
  registry: ApiDeps["registry"],
  tokenDigest: Uint8Array,
): Promise<{ user: User; token: Token }> {
  const { user, token } = await registry.resolveToken({ tokenDigest }).catch((thrown: unknown) => {
    throw thrown instanceof AppError && thrown.code === "unauthenticated" ? invalid() : thrown;
  });
  if (!user || !token) throw invalid();
  return { user, token };
}

function checkCsrf(req: IncomingMessage, wanted: string): void {
  const given = Buffer.from(String(req.headers[CSRF_HEADER] ?? ""));
  const expected = Buffer.from(wanted);
  if (given.length === expected.length && timingSafeEqual(given, expected)) return;
  throw new AppError(
    "permission_denied",
    "csrf_token_wrong",
    "A write with the session cookie needs its X-CSRF-Token.",
  );
}

function readBearer(req: IncomingMessage): string | undefined {
  return /^bearer +(\S+) *$/i.exec(req.headers.authorization ?? "")?.[1];
}

function readCookie(req: IncomingMessage): string | undefined {
  for (const pair of (req.headers.cookie ?? "").split(";")) {
    const [name, value] = pair.split("=", 2);
    if (name?.trim() === SESSION_COOKIE) return value?.trim();
  }
  return undefined;
}

function invalid(): AppError {
  return new AppError("unauthenticated", "token_invalid", "The token is not valid.");
}
