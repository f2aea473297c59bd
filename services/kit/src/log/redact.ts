/** Takes credentials out of log lines. The last guard, not the first: callers are not to hand secrets over at all. */

/** What stands in a secret's place. */
export const REDACTED = "REDACTED";

/** Our bearer tokens (`hg_`) and hook tokens (`hgi_`). */
const TOKEN = /\bhgi?_[\w-]{8,}/g;
/** A signed statement or token in JWS compact form: header and claims are JSON objects, so both begin with `{"` in base64url. */
const JWS = /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g;
/** The credential in the path of a hook, also where only a management path names it; templates (`/in/{token}`) stay. */
const HOOK_PATH =
  /((?:\/(?:in|hooks|incoming|outgoing))+(?:\/|%2[fF]))(?![{:])((?:\\.|[^/\s"'?#\\<>)\]},;])+)/g;
/** The password of a URL: `scheme://user:password@host`. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*:)(?:\\.|[^\s"/?#\\])*@/gi;
/** The scheme and value of an Authorization header quoted somewhere in a text. */
const BEARER = /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi;
/** A name whose value is a secret. */
const SECRET_NAME = /password|passwd|secret|authorization|cookie|token$|credential|api_?key/i;

/**
 * The same text with every part that looks like a credential replaced by REDACTED. Searching for a fixed text is ten times
 * cheaper than a pattern, and most lines have none of these.
 */
export function redact(text: string): string {
  let clean = text;
  if (text.includes("hg_") || text.includes("hgi_")) clean = clean.replace(TOKEN, REDACTED);
  if (text.includes("eyJ")) clean = clean.replace(JWS, REDACTED);
  if (mayNameHook(text)) clean = clean.replace(HOOK_PATH, `$1${REDACTED}`);
  if (text.includes("://")) clean = clean.replace(URL_PASSWORD, `$1${REDACTED}@`);
  if (/earer |asic |EARER |ASIC /.test(text)) clean = clean.replace(BEARER, `$1 ${REDACTED}`);
  return clean;
}

/** Whether a field of that name may hold a secret, so that its text is not to be shown. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

function mayNameHook(text: string): boolean {
  return (
    text.includes("/in") || // and /incoming
    text.includes("/hooks") ||
    text.includes("/outgoing")
  );
}
