import { execFile } from "node:child_process";
import { connect } from "node:http2";
import { promisify } from "node:util";
import { AppError } from "@headgate/kit/errors";
import { type Handlers, implement, openClient, type RpcServer, serveRpc } from "@headgate/kit/grpc";
import { recordSpans } from "@headgate/kit/telemetry/recorded-spans";
import { VERSION } from "@headgate/kit/version";
import { RateLimiterService } from "@headgate/proto/ratelimiter/v1/rate_limiter";
import { expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { findPort } from "../support/ports.ts";

type Served = Handlers<typeof RateLimiterService>;
type ServeOptions = Parameters<typeof serveRpc>[0];

/** A server of an rpc service whose handlers the test gives, and a client of it whose calls may take long. */
async function open(handlers: Partial<Served> = {}, options: Partial<ServeOptions> = {}) {
  const { log, lines } = createCollectedLog();
  const unused = async () => ({});
  const services = [
    implement(RateLimiterService, { admit: unused, peek: unused, settle: unused, ...handlers }),
  ];
  const serve = async (port: number) => {
    const at = { host: "127.0.0.1", port };
    const server = await serveRpc({ ...at, services, access: {}, log, ...options });
    onTestFinished(() => server[Symbol.asyncDispose]());
    return server;
  };
  const server = await serve(await findPort());
  const address = `127.0.0.1:${server.port}`;
  const client = openClient(RateLimiterService, { address, deadlineMs: 20_000 });
  onTestFinished(() => client[Symbol.asyncDispose]());
  return { server, serve, client, lines };
}

/** The AppError that a call fails with, and the ms it took. */
async function failureOf(call: Promise<unknown>): Promise<{ error: AppError; ms: number }> {
  const startedMs = performance.now();
  const thrown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw new Error(`no AppError but ${String(thrown)}`);
  return { error: thrown, ms: performance.now() - startedMs };
}

/** What grpc.health.v1 says of a service: 1 SERVING, 2 NOT_SERVING. One call on bare http2, as a probe makes it. */
async function checkHealth(server: RpcServer, service: string): Promise<number | undefined> {
  const session = connect(`http://127.0.0.1:${server.port}`);
  const stream = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const message = service ? [0x0a, service.length, ...Buffer.from(service)] : [];
  stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  session.close();
  return Buffer.concat(chunks)[6]; // 5 bytes of frame, tag of field 1, its value
}

test("every answer says the version of the service, a refusal too", async () => {
  const refuse = () => Promise.reject(new AppError("not_found", "none", "None."));
  const { server } = await open({ settle: refuse });
  const seen: string[] = [];
  const client = openClient(RateLimiterService, {
    address: `127.0.0.1:${server.port}`,
    deadlineMs: 20_000,
    onVersion: (version) => seen.push(version),
  });
  onTestFinished(() => client[Symbol.asyncDispose]());
  await client.admit({});
  expect((await failureOf(client.settle({}))).error.reason).toBe("none");
  expect(seen).toEqual([VERSION, VERSION]);
});

test("carries messages both ways", async () => {
  const { client } = await open({
    peek: async ({ budgets }) => ({
      states: budgets.map(({ key }) => ({ limit: key.length })),
      degraded: true,
    }),
  });
  const { states, degraded } = await client.peek({ budgets: [{ key: "abc" }, { key: "ü" }] });
  expect([states.map(({ limit }) => limit), degraded]).toEqual([[3, 1], true]);
});

test("throws an AppError again on the other side, with all that may be told", async () => {
  const told = new AppError("resource_exhausted", "too_many", "Slower, please. ü€😀", {
    faults: [{ pointer: "/items/0", detail: "ünknown" }],
    retryAfterMs: 1_500,
    http: 422,
    cause: new Error("not to be told"),
  });
  const { client, lines } = await open({ admit: () => Promise.reject(told) });
  const { error } = await failureOf(client.admit({}));
  const { code, reason, message, faults, retryAfterMs, httpStatus } = error;
  expect({ code, reason, message, faults, retryAfterMs, httpStatus }).toEqual({
    code: "resource_exhausted",
    reason: "too_many",
    message: "Slower, please. ü€😀",
    faults: [{ pointer: "/items/0", detail: "ünknown" }],
    retryAfterMs: 1_500,
    httpStatus: 422,
  });
  expect(lines.filter(({ severity }) => severity === "error")).toEqual([]);
});

test("carries as many faults as there is room for", async () => {
  const faults = Array.from({ length: 1_000 }, (_, at) => ({
    pointer: `/items/${at}`,
    detail: "must have at most so many",
  }));
  const told = new AppError("invalid_argument", "request_invalid", "x".repeat(5_000), { faults });
  const { client } = await open({ admit: () => Promise.reject(told) });
  const { error } = await failureOf(client.admit({}));
  expect(error.reason).toBe("request_invalid");
  expect(error.message.length).toBeLessThanOrEqual(500);
  expect(error.faults.length).toBeGreaterThan(20);
  expect(error.faults).toEqual(faults.slice(0, error.faults.length));
});

test("tells nothing of what nobody foresaw, and logs it once", async () => {
  const { client, lines } = await open({
    admit() {
      throw new Error("secret-detail");
    },
  });
  const { error } = await failureOf(client.admit({}));
  expect([error.code, error.reason]).toEqual(["internal", "internal"]);
  expect(`${error.message} ${error.cause}`).not.toContain("secret-detail");
  const logged = lines.filter(({ severity }) => severity === "error");
  expect(logged).toHaveLength(1);
  expect(JSON.stringify(logged)).toContain("secret-detail");
});

test("ends a call at its deadline on both sides", async () => {
  const seen = Promise.withResolvers<{ deadlineMs: number; aborted: boolean }>();
  const { client } = await open({
    admit: (_, { deadlineMs, signal }) =>
      new Promise(() => {
        signal.addEventListener("abort", () => {
          seen.resolve({ deadlineMs, aborted: signal.aborted });
        });
      }),
  });
  await client.peek({}); // connects, so that the call reaches the server in time
  const { error, ms } = await failureOf(client.admit({}, { deadlineMs: 2_000 }));
  expect(error.code).toBe("deadline_exceeded");
  expect(ms).toBeLessThan(10_000); // half of the client's own
  const { deadlineMs, aborted } = await seen.promise;
  expect(aborted).toBe(true);
  expect(deadlineMs).toBeGreaterThan(0);
  expect(deadlineMs).toBeLessThanOrEqual(2_000);
});

test("fails at once while the peer is away, and finds it again by itself", async () => {
  const { server, serve, client } = await open();
  await client.admit({});
  await server[Symbol.asyncDispose]();
  await eventually(async () => {
    const { error, ms } = await failureOf(client.admit({}));
    expect([error.code, error.reason]).toEqual(["unavailable", "peer_unavailable"]);
    expect(ms).toBeLessThan(10_000); // half of its deadline
  });
  await serve(server.port);
  await eventually(() => client.admit({})); // the library's own back-off would grow to two minutes
});

test("refuses a request beyond 16 MiB and lives on", async () => {
  const { client } = await open();
  const answer = new Uint8Array(17 * 1024 * 1024);
  const { error } = await failureOf(
    client.settle({ settlements: [{ scope: "s", key: "k", answer }] }),
  );
  expect(error.code).toBe("resource_exhausted");
  await client.settle({});
});

test("answers health per service and for all, as `ready` says", async () => {
  let ready = false;
  const { server } = await open({}, { ready: () => ready });
  expect(await checkHealth(server, "")).toBe(2);
  ready = true;
  await eventually(async () => {
    expect(await checkHealth(server, "")).toBe(1);
    expect(await checkHealth(server, "headgate.ratelimiter.v1.RateLimiterService")).toBe(1);
  });
});

test("lets a running call finish while it drains, and takes no new one", async () => {
  const running = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const { server, client } = await open({
    async admit() {
      running.resolve();
      await release.promise;
      return { degraded: true };
    },
  });
  const call = client.admit({});
  await running.promise;
  const closed = server[Symbol.asyncDispose]();
  await eventually(async () => {
    const late = openClient(RateLimiterService, { address: `127.0.0.1:${server.port}` });
    const { error } = await failureOf(late.peek({}));
    await late[Symbol.asyncDispose]();
    expect(error.code).toBe("unavailable");
  });
  release.resolve();
  expect((await call).degraded).toBe(true);
  await closed;
});

test("cuts a call that does not end while it drains", async () => {
  const running = Promise.withResolvers<void>();
  const { server, client } = await open({
    admit() {
      running.resolve();
      return new Promise(() => {});
    },
  });
  const call = failureOf(client.admit({}, { deadlineMs: 30_000 }));
  await running.promise;
  const startedMs = performance.now();
  await server[Symbol.asyncDispose]();
  expect(performance.now() - startedMs).toBeLessThan(20_000); // its own deadline is 30 s
  expect((await call).error.code).toBe("unavailable");
});

test("one trace goes through a call, and a refusal is no failure of the server", async () => {
  using recorder = recordSpans();
  const { spans } = recorder;
  const { client } = await open({
    admit: () => Promise.reject(new AppError("not_found", "hook_unknown", "There is none.")),
  });
  const { error } = await failureOf(client.admit({}));
  expect(error.reason).toBe("hook_unknown");
  await eventually(() => expect(spans).toHaveLength(2));
  const [server, caller] = ["server", "client"].map((kind) =>
    spans.find((span) => span.kind === kind),
  );
  expect([server?.name, caller?.name]).toEqual(
    Array(2).fill("headgate.ratelimiter.v1.RateLimiterService/Admit"),
  );
  expect(server?.context.traceId).toBe(caller?.context.traceId);
  expect(server?.parent?.spanId).toBe(caller?.context.spanId);
  expect([server?.failure, caller?.failure]).toEqual([undefined, "hook_unknown"]);
  expect(server?.attributes).toMatchObject({ "rpc.status_code": "NOT_FOUND" });
});

test("a call gathered for one caller is that one's child; for several, a root linked to them", async () => {
  using recorder = recordSpans();
  const { spans } = recorder;
  const { client } = await open();
  const callers = ["a", "b"].map((digit) => ({
    traceId: digit.repeat(32),
    spanId: digit.repeat(16),
    sampled: true,
  }));
  await client.admit({}, { callers: callers.slice(0, 1) });
  await client.admit({}, { callers });
  await eventually(() => expect(spans).toHaveLength(4));
  const [alone, gathered] = spans.filter(({ kind }) => kind === "client");
  expect([alone?.parent, alone?.links]).toEqual([callers[0], []]);
  expect([gathered?.parent, gathered?.links]).toEqual([undefined, callers]);
  const served = spans.filter(({ kind }) => kind === "server").at(-1);
  expect(served?.parent?.spanId).toBe(gathered?.context.spanId);
});

test("describes itself, so that a test client needs no .proto", async () => {
  const { server } = await open({ admit: async () => ({ degraded: true }) });
  const path = "headgate.ratelimiter.v1.RateLimiterService/Admit";
  const { stdout } = await promisify(execFile)("npm", [
    "exec",
    "--",
    "buf",
    "curl",
    "--http2-prior-knowledge",
    "--protocol",
    "grpc",
    "--data",
    "{}",
    `http://127.0.0.1:${server.port}/${path}`,
  ]);
  expect(JSON.parse(stdout)).toEqual({ degraded: true });
});
