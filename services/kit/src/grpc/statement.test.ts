import { generateKeyPairSync, type KeyObject, sign as signBytes } from "node:crypto";
import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { createSigner, createVerifier, LIFETIME_S } from "./statement.ts";

const USER = "01a1fcec-6cd4-71f2-80b4-090796349b72";
const keys = generateKeyPairSync("ed25519");
const otherKeys = generateKeyPairSync("ed25519");
const gateway = { issuer: "gateway", key: keys.publicKey };

/** Both clocks of one process, moved by the test. `wallMs` begins in 2026. */
function createClocks() {
  const clocks = {
    wallMs: 1_795_000_000_000,
    elapsed: 0,
    now: () => clocks.wallMs,
    elapsedMs: () => clocks.elapsed,
    pass(ms: number) {
      clocks.wallMs += ms;
      clocks.elapsed += ms;
    },
  };
  return clocks;
}

/** A signer of the gateway and a verifier of the registry on one machine's clocks. */
function openPair(clockSkewS?: number) {
  const clocks = createClocks();
  const signer = createSigner({ issuer: "gateway", key: keys.privateKey, ...clocks });
  const { now } = clocks;
  const verifier = createVerifier({
    audience: "registry",
    keys: [gateway],
    now,
    ...(clockSkewS !== undefined && { clockSkewS }),
  });
  return { clocks, signer, verifier, identify: async (text?: string) => verifier(text) };
}

async function reasonOf(identifying: Promise<unknown>): Promise<string> {
  const thrown = await identifying.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) return `no AppError but ${String(thrown)}`;
  return thrown.code === "unauthenticated" ? thrown.reason : thrown.code;
}

/** Claims of the gateway for the registry, those that a test gives in their place. */
function claimsAt(now: number, given: object = {}) {
  const at = Math.floor(now / 1000);
  const standard = { iss: "gateway", aud: "registry", sub: `user:${USER}`, iat: at, exp: at + 60 };
  return { ...standard, ...given };
}

test("a statement says which service calls, and in whose name", async () => {
  const { signer, identify } = openPair();
  expect(await identify(await signer("registry", USER))).toEqual({
    issuer: "gateway",
    subject: `user:${USER}`,
    userId: USER,
  });
  expect(await identify(await signer("registry", undefined))).toEqual({
    issuer: "gateway",
    subject: "service:gateway",
    userId: undefined,
  });
});

test("a call without a statement is refused", async () => {
  expect(await reasonOf(openPair().identify(undefined))).toBe("identity_missing");
});

test("a statement for another service is refused", async () => {
  const { signer, identify } = openPair();
  expect(await reasonOf(identify(await signer("chat", USER)))).toBe("identity_invalid");
});

test("a statement of another key is refused, also under the name and key id of a known one", async () => {
  const { signer, identify, clocks } = openPair();
  const forger = createSigner({ issuer: "gateway", key: otherKeys.privateKey, ...clocks });
  expect(await reasonOf(identify(await forger("registry", USER)))).toBe("identity_invalid");
  const [header = "", claims = "", signature = ""] = (await signer("registry", USER)).split(".");
  const forged = signBytes(null, Buffer.from(`${header}.${claims}`), otherKeys.privateKey);
  const texts = [
    `${header}.${claims}.${forged.toString("base64url")}`,
    `${header}.${claims}.`,
    `${encode({ alg: "none" })}.${claims}.`,
    `${encode({ ...decode(header), alg: "HS256" })}.${claims}.${signature}`,
    `${header}.${encode({ ...decode(claims), sub: "service:gateway" })}.${signature}`,
    `${header}.${claims}.${signature}x`.repeat(20),
    "",
    "not a statement",
  ];
  for (const text of texts) expect(await reasonOf(identify(text))).toBe("identity_invalid");
});

test("a key is good for statements of its own service only", async () => {
  const { clocks } = openPair();
  const dispatcher = { issuer: "outgoing-dispatcher", key: otherKeys.publicKey };
  const verifier = createVerifier({ audience: "registry", keys: [gateway, dispatcher], ...clocks });
  const identify = async (text: string) => verifier(text);
  const own = createSigner({ issuer: dispatcher.issuer, key: otherKeys.privateKey, ...clocks });
  expect((await identify(await own("registry", undefined))).subject).toBe(
    "service:outgoing-dispatcher",
  );
  const asGateway = createSigner({ issuer: "gateway", key: otherKeys.privateKey, ...clocks });
  expect(await reasonOf(identify(await asGateway("registry", USER)))).toBe("identity_invalid");
  const kid = decode((await own("registry", USER)).split(".")[0] ?? "").kid;
  const iss = dispatcher.issuer;
  const claims = claimsAt(clocks.now(), { iss, sub: "service:gateway" });
  const asService = await sign(claims, otherKeys.privateKey, kid);
  expect(await reasonOf(identify(asService))).toBe("identity_invalid");
});

test("claims that are missing, of another form or of a longer life are refused though they are signed", async () => {
  const { signer, identify, clocks } = openPair();
  const { kid } = decode((await signer("registry", USER)).split(".")[0] ?? "");
  const { iat } = claimsAt(clocks.now());
  const faulty: object[] = [
    { iss: undefined },
    { iss: "chat" },
    { aud: undefined },
    { aud: ["registry", "chat"] },
    { sub: undefined },
    { sub: "user:admin" },
    { sub: "service:chat" },
    { iat: undefined },
    { exp: undefined },
    { exp: iat + LIFETIME_S + 1 },
    { exp: iat },
  ];
  expect((await identify(await sign(claimsAt(clocks.now()), keys.privateKey, kid))).userId).toBe(
    USER,
  );
  for (const given of faulty) {
    const text = await sign(claimsAt(clocks.now(), given), keys.privateKey, kid);
    expect([given, await reasonOf(identify(text))]).toEqual([given, "identity_invalid"]);
  }
});

test("a statement that is used again after its life is refused, verified before or not", async () => {
  const { signer, identify, clocks } = openPair(30);
  const seen = await signer("registry", USER);
  const unseen = await signer("registry", undefined);
  await identify(seen);
  clocks.pass(89_000);
  expect((await identify(seen)).userId).toBe(USER); // the allowance for clocks
  clocks.pass(2_000);
  expect(await reasonOf(identify(seen))).toBe("identity_expired");
  expect(await reasonOf(identify(unseen))).toBe("identity_expired");
});

test("a statement is made once per account and service, and anew before it ends", async () => {
  const { signer, identify, clocks } = openPair(0);
  const first = await signer("registry", USER);
  expect(signer("registry", USER)).toBe(first);
  expect(await signer("registry", undefined)).not.toBe(first);
  expect(await signer("chat", USER)).not.toBe(first);
  const texts = new Set<string>();
  for (let second = 0; second < 300; second++) {
    const text = await signer("registry", USER);
    texts.add(text);
    await identify(text);
    clocks.pass(1_000);
  }
  expect(texts.size).toBeLessThanOrEqual(16);
});

test("asks that come together share one signature", async () => {
  const { signer } = openPair();
  const texts = await Promise.all([1, 2, 3].map(() => signer("registry", USER)));
  expect(new Set(texts).size).toBe(1);
});

test.each([-120_000, 120_000, 86_400_000])(
  "calls go on when the time of the machine is set by %i ms",
  async (stepMs) => {
    const { signer, identify, clocks } = openPair();
    await identify(await signer("registry", USER));
    clocks.wallMs += stepMs;
    expect((await identify(await signer("registry", USER))).userId).toBe(USER);
  },
);

test("a caller whose clock differs by two minutes is known, one that differs by an hour is not", async () => {
  for (const [stepMs, wanted] of [
    [-120_000, "known"],
    [120_000, "known"],
    [-3_600_000, "identity_expired"],
    [3_600_000, "identity_invalid"],
  ] as const) {
    const { identify, clocks } = openPair();
    const now = () => clocks.wallMs + stepMs;
    const signer = createSigner({ ...clocks, issuer: "gateway", key: keys.privateKey, now });
    const text = await signer("registry", USER);
    const said = await identify(text).then(
      () => "known",
      ({ reason }: AppError) => reason,
    );
    expect([stepMs, said]).toEqual([stepMs, wanted]);
  }
});

test("while a key is replaced, statements of the old and of the new one are known", async () => {
  const clocks = createClocks();
  const next = { issuer: "gateway", key: otherKeys.publicKey };
  const verify = (known: (typeof gateway)[]) => {
    const verifier = createVerifier({ audience: "registry", keys: known, ...clocks });
    return async (text: string) => verifier(text);
  };
  const before = await createSigner({ ...clocks, issuer: "gateway", key: keys.privateKey })(
    "registry",
    USER,
  );
  const after = await createSigner({ ...clocks, issuer: "gateway", key: otherKeys.privateKey })(
    "registry",
    USER,
  );
  const both = verify([gateway, next]);
  expect((await both(before)).userId).toBe(USER);
  expect((await both(after)).userId).toBe(USER);
  expect(await reasonOf(verify([gateway])(after))).toBe("identity_invalid");
  expect(await reasonOf(verify([next])(before))).toBe("identity_invalid");
});

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decode(part: string) {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

function sign(claims: object, key: KeyObject, kid: string): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid }).sign(key);
}
