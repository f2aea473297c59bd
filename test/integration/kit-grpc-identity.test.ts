import { connect } from "node:http2";
import { AppError } from "@headgate/kit/errors";
import {
  type Call,
  createSigner,
  createVerifier,
  type Implementation,
  implement,
  openClient,
  type RpcServer,
  type ServerAccess,
  serveRpc,
} from "@headgate/kit/grpc";
import { createId } from "@headgate/kit/ids";
import { RateLimiterService } from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { expect, onTestFinished, test } from "vitest";
import { type Authority, createAuthority } from "../support/certificates.ts";
import { createCollectedLog } from "../support/collected-log.ts";
import { createIssuer } from "../support/identity.ts";

const METHOD = "headgate.ratelimiter.v1.RateLimiterService/Settle";
const UNAUTHENTICATED = 16;

/** A server called `limiter` whose handlers note the identities of the calls that reach them. */
async function serve(access: ServerAccess, options: Pick<Implementation, "mayCall"> = {}) {
  const { log, lines } = createCollectedLog();
  const reached: Call["identity"][] = [];
  const note = async (_: unknown, { identity }: Call) => {
    reached.push(identity);
    return {};
  };
  const handlers = { admit: note, peek: note, settle: note };
  const services = [implement(RateLimiterService, handlers, options)];
  const server = await serveRpc({ host: "127.0.0.1", port: 0, services, access, log });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { server, reached, lines };
}

/** A client of it. */
function call(server: RpcServer, options: Partial<Parameters<typeof openClient>[1]> = {}) {
  const client = openClient(RateLimiterService, {
    address: `127.0.0.1:${server.port}`,
    audience: "limiter",
    deadlineMs: 20_000,
    ...options,
  });
  onTestFinished(() => client[Symbol.asyncDispose]());
  return client;
}

async function failureOf(calling: Promise<unknown>): Promise<AppError> {
  const thrown = await calling.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw new Error(`no AppError but ${String(thrown)}`);
  return thrown;
}

/** The gRPC status of a call made by hand, with the given statements. The body is what follows the 5 bytes of its frame. */
async function statusOf(
  server: RpcServer,
  path: string,
  statements: string[],
  body = Buffer.alloc(0),
) {
  const session = connect(`http://127.0.0.1:${server.port}`);
  session.on("error", () => {});
  const stream = session.request({
    ":method": "POST",
    ":path": `/${path}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...(statements.length > 0 && { "headgate-identity": statements }),
  });
  let status: unknown;
  stream.on("response", (headers) => {
    status ??= headers["grpc-status"];
  });
  stream.on("trailers", (trailers) => {
    status ??= trailers["grpc-status"];
  });
  stream.on("error", () => {}); // a server that answered need not read the rest
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  stream.end(Buffer.concat([head, body]));
  stream.resume();
  await new Promise((resolve) => stream.on("close", resolve));
  session.close();
  return Number(status);
}

test("a handler is given the account in whose name it is called, or the service", async () => {
  const gateway = createIssuer();
  const { server, reached } = await serve(gateway.accessOf("limiter"));
  const userId = createId();
  const { access } = gateway;
  await call(server, { access, userOf: () => userId }).settle({});
  await call(server, { access }).settle({});
  expect(reached).toEqual([
    { issuer: "gateway", subject: `user:${userId}`, userId },
    { issuer: "gateway", subject: "service:gateway", userId: undefined },
  ]);
});

test("a call without a valid statement is unauthenticated and reaches no handler", async () => {
  const gateway = createIssuer();
  const { server, reached, lines } = await serve(gateway.accessOf("limiter"));
  const good = await gateway.access.signer("limiter", undefined);
  expect(await statusOf(server, METHOD, [good])).toBe(0);
  const forged = await createIssuer().access.signer("limiter", undefined);
  const elsewhere = await gateway.access.signer("chat", undefined);
  for (const statements of [[], [forged], [elsewhere], [`${good}x`], [good, good], ["nonsense"]]) {
    expect(await statusOf(server, METHOD, statements)).toBe(UNAUTHENTICATED);
  }
  expect(reached).toHaveLength(1);
  const refused = lines.filter(({ msg }) => msg === "rpc.refused");
  expect(refused).toEqual([expect.objectContaining({ reason: "identity_missing" })]);
  for (const text of [good, forged, elsewhere]) expect(JSON.stringify(lines)).not.toContain(text);
});

test("a message of a refused call is not read", async () => {
  const { server, reached } = await serve(createIssuer().accessOf("limiter"));
  // Not decodable: a server that read it would answer INTERNAL.
  const body = Buffer.alloc(8 * 1024 * 1024, 0xff);
  expect(await statusOf(server, METHOD, [], body)).toBe(UNAUTHENTICATED);
  expect(reached).toEqual([]);
});

test("a caller whose identity is refused fails as a caller, not as the person it calls for", async () => {
  const gateway = createIssuer();
  const { server } = await serve(gateway.accessOf("limiter"));
  const failures = await Promise.all([
    failureOf(call(server).settle({})),
    failureOf(call(server, { access: createIssuer().access }).settle({})),
  ]);
  expect(failures.map(({ code, reason }) => [code, reason])).toEqual([
    ["unavailable", "identity_missing"],
    ["unavailable", "identity_invalid"],
  ]);
});

test("a statement that was recorded is of no use after its life", async () => {
  const gateway = createIssuer();
  let now = Date.now();
  const keys = [gateway.verifyKey];
  const verifier = createVerifier({ audience: "limiter", keys, clockSkewS: 30, now: () => now });
  const { server } = await serve({ verifier });
  const recorded = await gateway.access.signer("limiter", createId());
  expect(await statusOf(server, METHOD, [recorded])).toBe(0);
  now += 91_000;
  expect(await statusOf(server, METHOD, [recorded])).toBe(UNAUTHENTICATED);
});

test("an rpc that is for services is refused to a statement of a user", async () => {
  const gateway = createIssuer();
  const mayCall: Implementation["mayCall"] = ({ userId }) => userId === undefined;
  const { server, reached } = await serve(gateway.accessOf("limiter"), { mayCall });
  const { access } = gateway;
  const userId = createId();
  const failure = await failureOf(call(server, { access, userOf: () => userId }).settle({}));
  expect([failure.code, failure.reason]).toEqual(["internal", "identity_not_allowed"]);
  const statement = await access.signer("limiter", userId);
  expect(await statusOf(server, METHOD, [statement])).toBe(7);
  expect(reached).toEqual([]);
  await call(server, { access }).settle({});
});

test("while the caller's key is replaced, calls with the old and with the new one are served", async () => {
  const before = createIssuer();
  const after = createIssuer();
  const keys = [before.verifyKey, after.verifyKey];
  const { server, reached } = await serve({
    verifier: createVerifier({ audience: "limiter", keys }),
  });
  for (const { access } of [before, after]) await call(server, { access }).settle({});
  expect(reached).toHaveLength(2);
});

test("health and reflection need no statement", async () => {
  const { server } = await serve(createIssuer().accessOf("limiter"));
  expect(await statusOf(server, "grpc.health.v1.Health/Check", [])).toBe(0);
  const listServices = Buffer.from([0x3a, 0x00]); // field 7 of ServerReflectionRequest
  const reflection = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  expect(await statusOf(server, reflection, [], listServices)).toBe(0);
});

test("a caller that signs for another service than it is gets in nowhere", async () => {
  const dispatcher = createIssuer("outgoing-dispatcher");
  const { server } = await serve(dispatcher.accessOf("limiter"));
  const asGateway = createSigner({ issuer: "gateway", key: dispatcher.privateKey });
  const failure = await failureOf(call(server, { access: { signer: asGateway } }).settle({}));
  expect(failure.reason).toBe("identity_invalid");
});

/** One end's certificate, and the authority that it expects of the other. */
async function issue(authority: Authority, trusted = authority, options = {}) {
  const { certificate, key } = await authority.issue("test", options);
  return {
    certificate: Buffer.from(certificate),
    key: Buffer.from(key),
    authority: Buffer.from(trusted.certificate),
  };
}

test("with mutual TLS, a server serves callers with a certificate of its authority, and no others", async () => {
  const ours = await createAuthority();
  const theirs = await createAuthority();
  const { server, reached } = await serve({ tls: await issue(ours) });
  const cases = {
    right: { tls: await issue(ours) },
    "without TLS": {},
    "of another authority": { tls: await issue(theirs, ours) },
    expired: { tls: await issue(ours, ours, { isExpired: true }) },
    "that expects another server": { tls: await issue(ours, theirs) },
  };
  const outcomes: Record<string, string> = {};
  for (const [name, access] of Object.entries(cases)) {
    const calling = call(server, { access, address: `localhost:${server.port}` }).settle({});
    outcomes[name] = await calling.then(
      () => "served",
      ({ reason }: AppError) => reason,
    );
  }
  expect(outcomes).toEqual({
    right: "served",
    "without TLS": "peer_unavailable",
    "of another authority": "peer_unavailable",
    expired: "peer_unavailable",
    "that expects another server": "peer_unavailable",
  });
  expect(reached).toHaveLength(1);
});

test("with mutual TLS, a client speaks to a server that is made for the host it called, and to no other", async () => {
  const ours = await createAuthority();
  const tls = await issue(ours, ours, { hosts: ["registry.internal"] });
  const { server, reached } = await serve({ tls });
  const access = { tls: await issue(ours) };
  const address = `localhost:${server.port}`;
  expect((await failureOf(call(server, { access, address }).settle({}))).reason).toBe(
    "peer_unavailable",
  );
  const plain = await serve({});
  const toPlain = { access, address: `localhost:${plain.server.port}` };
  expect((await failureOf(call(plain.server, toPlain).settle({}))).reason).toBe("peer_unavailable");
  expect([...reached, ...plain.reached]).toEqual([]);
});

test("a client without a certificate is refused though it trusts the server", async () => {
  const ours = await createAuthority();
  const { server, reached } = await serve({ tls: await issue(ours) });
  const session = connect(`https://localhost:${server.port}`, { ca: ours.certificate });
  const ended = await new Promise<string>((resolve) => {
    session.on("error", () => resolve("refused"));
    session.on("close", () => resolve("refused"));
    const stream = session.request({ ":method": "POST", ":path": `/${METHOD}` });
    stream.on("error", () => resolve("refused"));
    stream.on("response", () => resolve("served"));
    stream.end();
  });
  session.destroy();
  expect(ended).toBe("refused");
  expect(reached).toEqual([]);
});

test("statements are verified behind mutual TLS too, and addresses of certificates count", async () => {
  const ours = await createAuthority();
  const gateway = createIssuer();
  const { server, reached } = await serve({
    tls: await issue(ours),
    ...gateway.accessOf("limiter"),
  });
  const tls = await issue(ours);
  expect((await failureOf(call(server, { access: { tls } }).settle({}))).reason).toBe(
    "identity_missing",
  );
  await call(server, { access: { tls, ...gateway.access } }).settle({});
  expect(reached).toHaveLength(1);
});
