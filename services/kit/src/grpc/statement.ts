/**
 * Identity statements: in whose name an rpc is called, signed by the process that calls. A statement is a JWT in JWS compact
 * form, signed with EdDSA over Ed25519:
 *
 *     header  {"alg": "EdDSA", "typ": "JWT", "kid": <see keyIdOf>}
 *     claims  {"iss": <calling service>, "aud": <called service>, "sub": "user:<uuid>" or "service:<iss>", "iat", "exp"}
 *
 * `jose` makes and reads them: the rules of JWS that are easily missed (`crit`, `b64`, the confusion of algorithms) are in
 * it and maintained there. It works asynchronously, so both sides keep what they made: a caller signs again after REUSE_MS,
 * a server verifies a text once. The rpc of a hot path then costs a look-up in a map on each side.
 *
 * Clocks: a lifetime is `exp - iat` and never over LIFETIME_S, whatever the clocks say. The called process compares both with
 * its own wall clock and allows for a difference, because a clock that was set back or forward, or a host whose clock drifts,
 * must not end all calls. The caller signs anew as soon as its wall clock and its monotonic clock disagree.
 */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";
import { AppError } from "../errors.ts";

/** Header of each call that carries a statement. */
export const IDENTITY_HEADER = "headgate-identity";
/** Seconds from `iat` to `exp`, at most. */
export const LIFETIME_S = 60;
/** Seconds that the clocks of caller and called may differ, unless set. Above the 120 s by which a wrong time server once set a clock back. */
export const CLOCK_SKEW_S = 150;

const ALGORITHM = "EdDSA";
/** Ms that a statement is used for: a third of its life, so that one that is sent never ends on its way. */
const REUSE_MS = 20_000;
/** Ms by which wall clock and monotonic clock may part before a statement is made anew. */
const CLOCK_STEP_MS = 2_000;
/** Characters of a statement, at most; ours have some 330. */
const LENGTH_MAX = 1_024;
/** Statements that a process keeps, made or verified: with LENGTH_MAX some 4 MiB. */
const KEPT_MAX = 4_096;
const SUBJECT =
  /^(?:user:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|service:[a-z][a-z0-9-]{0,62})$/;

/** In whose name an rpc is called, and which service says so. */
export type Identity = {
  /** The service that signed: the caller. */
  readonly issuer: string;
  /** `user:<uuid>` for a call in the name of an account, else `service:<issuer>`. */
  readonly subject: string;
  /** The account's UUID; undefined where the service calls in its own name. */
  readonly userId: string | undefined;
};

/** A key that statements of one service are verified with. A service may have two, while its key is replaced. */
export type VerifyKey = { readonly issuer: string; readonly key: KeyObject };

/** Makes statements of one service. The text comes at once where one is kept. */
export type Signer = (audience: string, userId: string | undefined) => string | Promise<string>;

/** Reads statements for one service. @throws AppError unauthenticated identity_missing, identity_invalid, identity_expired */
export type Verifier = (statement: string | undefined) => Identity | Promise<Identity>;

type Clocks = {
  /** Ms since 1970. */
  readonly now?: () => number;
  /** Ms that no change of the time moves. */
  readonly elapsedMs?: () => number;
};

/** Signs in the name of `issuer`. @param options.key private, Ed25519 */
export function createSigner({
  issuer,
  key,
  now = Date.now,
  elapsedMs = () => performance.now(),
}: { issuer: string; key: KeyObject } & Clocks): Signer {
  const kid = keyIdOf(createPublicKey(key));
  const kept = new LRUCache<string, Kept>({ max: KEPT_MAX });

  return function statementFor(audience, userId) {
    const subject = userId === undefined ? `service:${issuer}` : `user:${userId}`;
    const name = `${audience} ${subject}`;
    const found = kept.get(name);
    if (found && isFresh(found)) return found.statement;
    const signing = { statement: sign(audience, subject), wallMs: now(), elapsedMs: elapsedMs() };
    kept.set(name, signing);
    return signing.statement.then(
      (statement) => {
        kept.set(name, { ...signing, statement });
        return statement;
      },
      (thrown: unknown) => {
        kept.delete(name);
        throw thrown;
      },
    );
  };

  function isFresh(made: Kept): boolean {
    const age = elapsedMs() - made.elapsedMs;
    return age < REUSE_MS && Math.abs(now() - made.wallMs - age) < CLOCK_STEP_MS;
  }

  async function sign(audience: string, subject: string): Promise<string> {
    const at = Math.floor(now() / 1000);
    return await new SignJWT()
      .setProtectedHeader({ alg: ALGORITHM, typ: "JWT", kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(subject)
      .setIssuedAt(at)
      .setExpirationTime(at + LIFETIME_S)
      .sign(key);
  }
}

/** A statement with both clocks at its making; a promise while it is signed. */
type Kept = {
  readonly statement: string | Promise<string>;
  readonly wallMs: number;
  readonly elapsedMs: number;
};

/** Reads statements that are made for `audience` and signed with one of the keys. */
export function createVerifier({
  audience,
  keys,
  clockSkewS = CLOCK_SKEW_S,
  now = Date.now,
}: {
  audience: string;
  keys: readonly VerifyKey[];
  clockSkewS?: number;
} & Pick<Clocks, "now">): Verifier {
  const keyById = new Map(keys.map((entry) => [keyIdOf(entry.key), entry]));
  const verified = new LRUCache<string, Verified>({ max: KEPT_MAX });

  return function identify(statement) {
    if (statement === undefined) throw missing();
    const found = verified.get(statement);
    if (found) return inTime(found).identity;
    if (statement.length > LENGTH_MAX) throw invalid();
    return verify(statement);
  };

  async function verify(statement: string): Promise<Identity> {
    const read = inTime(await readStatement(statement));
    verified.set(statement, read);
    return read.identity;
  }

  async function readStatement(statement: string): Promise<Verified> {
    let signer: VerifyKey | undefined;
    const { payload } = await jwtVerify(
      statement,
      ({ kid }) => {
        signer = keyById.get(kid ?? "");
        if (!signer) throw new errors.JWKSNoMatchingKey();
        return signer.key;
      },
      { algorithms: [ALGORITHM], currentDate: new Date(0) }, // times are judged below, again with each use
    ).catch((thrown: unknown) => {
      throw invalid(thrown);
    });
    const read = readClaims(payload);
    if (!read || read.identity.issuer !== signer?.issuer || payload.aud !== audience) {
      throw invalid();
    }
    return read;
  }

  /** @throws AppError when the wall clock is before or after the life of a statement by more than the allowance */
  function inTime(read: Verified): Verified {
    const at = now() / 1000;
    if (at > read.expiresAt + clockSkewS) throw expired();
    if (at < read.issuedAt - clockSkewS) throw invalid();
    return read;
  }
}

/** What was verified, with its life in seconds since 1970. */
type Verified = {
  readonly identity: Identity;
  readonly issuedAt: number;
  readonly expiresAt: number;
};

/** The id of a public key, in the header of what is signed with its private one: the start of its SHA-256. */
function keyIdOf(publicKey: KeyObject): string {
  const encoded = publicKey.export({ format: "der", type: "spki" });
  return createHash("sha256").update(encoded).digest("base64url").slice(0, 16);
}

/** Undefined when a claim is missing or not of our form. A service speaks in its own name only. */
function readClaims({ iss, sub, iat, exp }: JWTPayload): Verified | undefined {
  if (iss === undefined || sub === undefined || iat === undefined || exp === undefined) return;
  if (!SUBJECT.test(sub) || exp <= iat || exp - iat > LIFETIME_S) return;
  if (sub.startsWith("service:") && sub !== `service:${iss}`) return;
  const userId = sub.startsWith("user:") ? sub.slice("user:".length) : undefined;
  return { identity: { issuer: iss, subject: sub, userId }, issuedAt: iat, expiresAt: exp };
}

function missing(): AppError {
  const message = "The call carries no identity statement.";
  return new AppError("unauthenticated", "identity_missing", message);
}

function invalid(cause?: unknown): AppError {
  const message = "The identity statement of the call is not valid here.";
  return new AppError("unauthenticated", "identity_invalid", message, { cause });
}

function expired(): AppError {
  const message = "The identity statement of the call has expired.";
  return new AppError("unauthenticated", "identity_expired", message);
}
