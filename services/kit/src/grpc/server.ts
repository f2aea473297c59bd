/** Serves rpcs: errors by the table, deadlines, health, reflection, spans, and a drain that ends. */
import { Metadata, Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { AppError, STATUS } from "../errors.ts";
import type { Log } from "../log.ts";
import { ATTR, METRIC } from "../semconv.ts";
import {
  histogram,
  parseTraceparent,
  type Span,
  startSpan,
  tracing,
  withSpan,
} from "../telemetry.ts";
import { VERSION } from "../version.ts";
import { type ServerAccess, toServerCredentials } from "./access.ts";
import { type Authentication, createAuthentication } from "./authentication.ts";
import {
  type AnyHandler,
  type Implementation,
  MESSAGE_BYTES_MAX,
  methodName,
  toServiceDefinition,
  VERSION_HEADER,
} from "./definition.ts";
import { addReflection } from "./reflection.ts";
import type { Identity } from "./statement.ts";
import { statusName, toStatus } from "./status.ts";

/** Ms a call may take when its caller gave no deadline, and the most anyone may ask for. */
const DEADLINE_MS_MAX = 30_000;
/** Ms that running calls get to finish while the server drains. */
const DRAIN_MS = 5_000;
/** Ms between looks at `ready` for the health service. */
const READY_POLL_MS = 250;
/** Statuses that are a server's own failure; all others are answers. OpenTelemetry rpc conventions. */
const SERVER_FAULTS: ReadonlySet<number> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/** Ms between two log lines about refused callers. */
const REFUSED_LOG_MS = 10_000;

/** Goes with every answer. */
const ABOUT = new Metadata();
ABOUT.set(VERSION_HEADER, VERSION);

/** A listening server. Disposing drains: health says NOT_SERVING, running calls finish or are cut after 5 s. */
export type RpcServer = AsyncDisposable & { readonly port: number };

/**
 * Serves the given services with health (`grpc.health.v1`, per service and "") and reflection.
 * @param options.port 0 takes any free port
 * @param options.access how callers are known; see `readServerAccess`, which also keeps an open server on the loopback
 * @param options.ready what health says while serving; absent means always ready
 * @throws Error when the port is taken
 */
export async function serveRpc(options: {
  host: string;
  port: number;
  services: readonly Implementation[];
  access: ServerAccess;
  log: Log;
  ready?: () => boolean;
}): Promise<RpcServer> {
  const { services, access, log } = options;
  const { verifier } = access;
  const duration = histogram(METRIC.rpcServerDuration, { unit: "s" });
  const onRefused = createRefusalRecorder(duration, log);
  const authentication = verifier && createAuthentication({ verifier, services, onRefused });
  const server = new Server({
    ...(authentication && { interceptors: [authentication.interceptor] }),
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    // Connections end now and then (grpc-js adds jitter), so that callers spread over replicas that came later.
    "grpc.max_connection_age_ms": 300_000,
    "grpc.max_connection_age_grace_ms": DEADLINE_MS_MAX,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 5_000,
  });
  for (const { service, handlers } of services) {
    const served = service.methods.map((method) => {
      const handler = handlers[method.localName];
      if (!handler) throw new Error(`${methodName(service, method)} has no handler`);
      const name = methodName(service, method);
      return [
        method.localName,
        createUnary({ name, handler, authentication, log, duration }),
      ] as const;
    });
    server.addService(toServiceDefinition(service), Object.fromEntries(served));
  }
  const health = createHealth(services, options.ready);
  health.addToServer(server);
  addReflection(server, services);
  const port = await bind(server, options);
  log.info("rpc.listening", { port, identities: verifier !== undefined, tls: !!access.tls });

  return {
    port,
    async [Symbol.asyncDispose]() {
      health.stop();
      await drain(server);
    },
  };
}

type Duration = ReturnType<typeof histogram>;

/** Records refused calls like served ones, and logs the first of each 10 s. */
function createRefusalRecorder(duration: Duration, log: Log) {
  let loggedMs = Number.NEGATIVE_INFINITY;
  return function onRefused(method: string, error: AppError): void {
    duration.record(0, {
      [ATTR.rpcSystem]: "grpc",
      [ATTR.rpcMethod]: method,
      [ATTR.rpcStatus]: statusName(STATUS[error.code].grpc),
    });
    if (performance.now() - loggedMs < REFUSED_LOG_MS) return;
    loggedMs = performance.now();
    log.warn("rpc.refused", { [ATTR.rpcMethod]: method, reason: error.reason });
  };
}

function createUnary({
  name,
  handler,
  authentication,
  log,
  duration,
}: {
  name: string;
  handler: AnyHandler;
  authentication: Authentication | undefined;
  log: Log;
  duration: Duration;
}) {
  return function serveUnary(
    call: ServerUnaryCall<unknown, unknown>,
    callback: sendUnaryData<unknown>,
  ): void {
    const startedMs = performance.now();
    const span = tracing() ? openSpan(name, call.metadata) : undefined;
    const identity = authentication?.identityOf(call.metadata);
    const { context, expired, settle } = openCall(call, span, identity);
    call.sendMetadata(ABOUT);
    Promise.race([span ? withSpan(span, run) : run(), expired]).then(
      (response) => end(status.OK, () => callback(null, response)),
      (thrown: unknown) => {
        const error = AppError.from(thrown);
        if (SERVER_FAULTS.has(STATUS[error.code].grpc)) span?.fail(thrown);
        end(STATUS[error.code].grpc, () => callback(toStatus(error)));
      },
    );

    /** `async` so that a handler that throws before its first await is answered like any other. */
    async function run(): Promise<unknown> {
      try {
        // The request was decoded by this very method's schema.
        return await handler(call.request as never, context);
      } catch (thrown) {
        const { code, reason } = AppError.from(thrown);
        if (code === "internal") {
          log.error("rpc.failed", { [ATTR.rpcMethod]: name, reason, error: thrown }); // here it has the trace's ids
        }
        throw thrown;
      }
    }

    function end(code: number, answer: () => void): void {
      settle();
      const word = statusName(code);
      duration.record((performance.now() - startedMs) / 1000, {
        [ATTR.rpcSystem]: "grpc",
        [ATTR.rpcMethod]: name,
        [ATTR.rpcStatus]: word,
      });
      span?.set({ [ATTR.rpcStatus]: word });
      span?.end();
      answer();
    }
  };
}

/** The handler's view of a call, and a promise that rejects when nobody waits any more. */
function openCall(
  call: ServerUnaryCall<unknown, unknown>,
  span: Span | undefined,
  identity: Identity | undefined,
) {
  const deadline = call.getDeadline();
  const at = typeof deadline === "number" ? deadline : deadline.getTime();
  const deadlineMs = Math.max(0, Math.min(DEADLINE_MS_MAX, at - Date.now()));
  const { promise: expired, reject } = Promise.withResolvers<never>();
  let aborter: AbortController | undefined;
  let settled = false;
  const timer = setTimeout(stop, deadlineMs, "deadline_exceeded");
  call.on("cancelled", stop); // comes for calls that ended well too
  const context = {
    deadlineMs,
    span,
    identity,
    /** Made for those who ask: most handlers do not, and it is dear. */
    get signal() {
      aborter ??= new AbortController();
      return aborter.signal;
    },
  };
  return { context, expired, settle };

  function stop(code: string): void {
    if (settled) return;
    settle();
    const error =
      code === "deadline_exceeded"
        ? new AppError(code, "rpc_timeout", "The call took too long.")
        : new AppError("cancelled", "rpc_cancelled", "The caller hung up.");
    reject(error); // first: whoever listens to the signal must not be the one to say why
    aborter?.abort(error);
  }

  function settle(): void {
    settled = true;
    clearTimeout(timer);
  }
}

function openSpan(name: string, metadata: Metadata): Span {
  const raw = metadata.get("traceparent")[0];
  const parent = parseTraceparent(typeof raw === "string" ? raw : undefined);
  return startSpan(name, {
    kind: "server",
    ...(parent ? { parent } : { root: true }),
    attributes: { [ATTR.rpcSystem]: "grpc", [ATTR.rpcMethod]: name },
  });
}

/** The health service; `stop` makes it say NOT_SERVING for good. */
function createHealth(services: readonly Implementation[], ready: (() => boolean) | undefined) {
  const names = ["", ...services.map(({ service }) => service.typeName)];
  let serving = ready?.() ?? true;
  const health = new HealthImplementation(
    Object.fromEntries(names.map((name) => [name, word(serving)])),
  );
  const timer = ready ? setInterval(() => set(ready()), READY_POLL_MS) : undefined;
  timer?.unref();
  return { addToServer: (server: Server) => health.addToServer(server), stop };

  function stop(): void {
    clearInterval(timer);
    set(false);
  }

  function set(now: boolean): void {
    if (now === serving) return;
    serving = now;
    for (const name of names) health.setStatus(name, word(now));
  }

  function word(now: boolean) {
    return now ? "SERVING" : "NOT_SERVING";
  }
}

function bind(
  server: Server,
  { host, port, access }: { host: string; port: number; access: ServerAccess },
): Promise<number> {
  const shown = host.includes(":") ? `[${host}]` : host;
  return new Promise((resolve, reject) => {
    server.bindAsync(`${shown}:${port}`, toServerCredentials(access), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
}

async function drain(server: Server): Promise<void> {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    server.forceShutdown();
    resolve();
  }, DRAIN_MS);
  server.tryShutdown(() => resolve());
  await stopped;
  clearTimeout(timer);
}
