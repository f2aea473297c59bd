/**
 * Credentials: what each dialect's looks like, what is kept of one (its digest), and how one that must be shown again
 * is sealed. Tokens of people and bots are made here too.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { encodeBase32 } from "@headgate/kit/base32";
import { AppError } from "@headgate/kit/errors";
import { createRandomId, parseUuid } from "@headgate/kit/ids";
import { HookAction } from "@headgate/proto/registry/v1/registry";

/** What the registry must know about hooks of one dialect. */
export type DialectForm = {
  /** A new credential, as the dialect writes it. */
  create(): string;
  /** Whether the dialect shows the credential again, so that it is kept sealed besides its digest. */
  readonly isShownAgain: boolean;
  /** What its hooks may do. */
  readonly actions: readonly HookAction[];
  /** Whether the owner writes when the creator names no bot; else a bot is made. */
  readonly ownerWrites: boolean;
  /** Whether a hook may be without a name. */
  readonly isNameOptional: boolean;
  /** Whether a hook is deleted when its channel is archived; else it stays, and its senders learn that the target is gone. */
  readonly endsWithTarget: boolean;
};

const { CHAT_MESSAGE, DIRECT_MESSAGE } = HookAction;

/** The dialects that hooks can be made for. */
export const DIALECTS: ReadonlyMap<string, DialectForm> = new Map([
  [
    "headgate",
    {
      create: () => `hgi_${randomText()}`,
      isShownAgain: false,
      actions: [CHAT_MESSAGE, DIRECT_MESSAGE],
      ownerWrites: false,
      isNameOptional: false,
      endsWithTarget: false,
    },
  ],
  [
    "monotree",
    {
      create: randomText,
      isShownAgain: false,
      actions: [CHAT_MESSAGE, DIRECT_MESSAGE],
      ownerWrites: false,
      isNameOptional: false,
      endsWithTarget: false,
    },
  ],
  [
    // The 26 characters are the hook's id over there, which its management API shows in every answer.
    "mattermost",
    {
      create: () => encodeBase32(parseUuid(createRandomId())),
      isShownAgain: true,
      actions: [CHAT_MESSAGE],
      ownerWrites: true,
      isNameOptional: true,
      endsWithTarget: true,
    },
  ],
]);

/** A new bearer token or session: "hg_" and 43 characters of 256 random bits. */
export function createToken(): string {
  return `hg_${randomText()}`;
}

/** Whether a text has the form of a bearer token. */
export function isToken(text: string): boolean {
  return /^hg_[A-Za-z0-9_-]{43}$/.test(text);
}

/** SHA-256 of a credential: what is stored and looked up. No salt: the inputs are random and long. */
export function digestOf(credential: string): Uint8Array {
  return createHash("sha256").update(credential, "utf8").digest();
}

/** The last four characters, by which people tell credentials apart. */
export function hintOf(credential: string): string {
  return credential.slice(-4);
}

/** Seals and opens credentials; `about` (the hook's id) is bound in, so that sealed bytes of one fit no other. */
export type Sealer = {
  seal(credential: string, about: string): Uint8Array;
  /** @throws AppError internal `seal_broken`: another key, another subject, or bytes that were changed */
  open(sealed: Uint8Array, about: string): string;
};

const SEAL_VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A sealer with a key of 32 bytes. Layout: version (1 byte) · nonce (12) · ciphertext · tag (16); AES-256-GCM. */
export function createSealer(key: Uint8Array): Sealer {
  return {
    seal(credential, about) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(about, "utf8"));
      const body = Buffer.concat([cipher.update(credential, "utf8"), cipher.final()]);
      return Buffer.concat([Buffer.of(SEAL_VERSION), nonce, body, cipher.getAuthTag()]);
    },
    open(sealed, about) {
      try {
        if (sealed[0] !== SEAL_VERSION) throw new Error("unknown version of the seal");
        const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
        const body = sealed.subarray(1 + NONCE_BYTES, sealed.length - TAG_BYTES);
        const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES })
          .setAAD(Buffer.from(about, "utf8"))
          .setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
        return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
      } catch (cause) {
        throw new AppError("internal", "seal_broken", "A credential cannot be read.", { cause });
      }
    },
  };
}

/** 256 random bits as 43 base64url characters. */
function randomText(): string {
  return randomBytes(32).toString("base64url");
}
