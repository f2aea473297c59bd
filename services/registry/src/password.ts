/**
 * Passwords: scrypt (RFC 7914) from node:crypto, in the thread pool. A check costs the same whether the name exists or
 * not. Few run at once and few wait, so that a flood of log-ins takes neither the memory nor the threads.
 */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { AppError } from "@headgate/kit/errors";

/** Hashes and checks passwords. Both throw AppError resource_exhausted `passwords_busy` when too many wait. */
export type Passwords = {
  /** The text to store: algorithm, parameters, salt and hash. */
  hash(password: string): Promise<string>;
  /** Whether a password is the one hashed; without a hash it works as long and answers false. */
  verify(password: string, hash: string | undefined): Promise<boolean>;
};

/** log2 of N; with r = 8 and p = 3: 32 MiB, OWASP's floor for scrypt. */
const COST = { logN: 15, r: 8, p: 3 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** How many are worked on at once; each takes a thread of libuv's four and 32 MiB. */
const RUNNING_MAX = 2;
/** How many wait; beyond it the answer is to come again. */
const WAITING_MAX = 32;

/** Options are for tests: a cheaper cost. */
export function createPasswords({ logN = COST.logN }: { logN?: number } = {}): Passwords {
  const cost = { ...COST, logN };
  const dummy = format(cost, randomBytes(SALT_BYTES), randomBytes(HASH_BYTES));
  const gate = createGate();
  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      return format(cost, salt, await gate(() => derive(password, salt, cost)));
    },
    async verify(password, hash) {
      const { cost: its, salt, digest } = parse(hash ?? dummy);
      const found = await gate(() => derive(password, salt, its));
      return timingSafeEqual(found, digest) && hash !== undefined;
    },
  };
}

type Cost = { logN: number; r: number; p: number };

function derive(password: string, salt: Uint8Array, { logN, r, p }: Cost): Promise<Buffer> {
  const options: ScryptOptions = { N: 2 ** logN, r, p, maxmem: 2 ** logN * r * 128 * 2 };
  return new Promise((resolve, reject) => {
    // NFKC, so that one password typed on two keyboards is one.
    scrypt(password.normalize("NFKC"), salt, HASH_BYTES, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/** `scrypt$<logN>$<r>$<p>$<salt>$<hash>`, the last two in base64url. */
function format({ logN, r, p }: Cost, salt: Uint8Array, digest: Uint8Array): string {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  return `scrypt$${logN}$${r}$${p}$${text(salt)}$${text(digest)}`;
}

function parse(hash: string): { cost: Cost; salt: Buffer; digest: Buffer } {
  const [kind, logN, r, p, salt = "", digest = ""] = hash.split("$");
  if (kind !== "scrypt") throw new Error("unknown form of a password hash");
  return {
    cost: { logN: Number(logN), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, "base64url"),
    digest: Buffer.from(digest, "base64url"),
  };
}

/** Lets `RUNNING_MAX` tasks run and `WAITING_MAX` wait, in the order they came. */
function createGate(): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async function pass(task) {
    if (running < RUNNING_MAX) running += 1;
    else if (waiting.length < WAITING_MAX) await new Promise<void>((go) => waiting.push(go));
    else {
      throw new AppError("resource_exhausted", "passwords_busy", "Too many log-ins at once.", {
        retryAfterMs: 1_000,
      });
    }
    try {
      return await task();
    } finally {
      const next = waiting.shift(); // hands its place on, so `running` stays
      if (next) next();
      else running -= 1;
    }
  };
}
