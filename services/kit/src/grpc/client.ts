/** Calls rpcs: a deadline on each, quick to find a restarted peer, failures as AppErrors. */
import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { AppError } from "../errors.ts";
import { ATTR, METRIC } from "../semconv.ts";
import {
  formatTraceparent,
  histogram,
  type Span,
  type SpanContext,
  startSpan,
  tracing,
} from "../telemetry.ts";
import { type ClientAccess, toChannelCredentials } from "./access.ts";
import {
  MESSAGE_BYTES_MAX,
  methodName,
  toServiceDefinition,
  VERSION_HEADER,
} from "./definition.ts";
import { IDENTITY_HEADER } from "./statement.ts";
import { fromStatus, statusName } from "./status.ts";

/** Ms that a call may take unless its caller says otherwise. */
const DEADLINE_MS = 2_000;
/** Ms between tries to reach a peer that is away: a restarted one is found within about the longest of them. */
const RECONNECT_MS = { first: 100, most: 1_000 };
/** Ms after which a caller may try again that failed for this process's identity. */
const IDENTITY_RETRY_MS = 1_000;

/** How one call is made. */
export type CallSettings = {
  /** Ms until it fails with `deadline_exceeded`; the client's own otherwise. */
  readonly deadlineMs?: number;
  /** Spans that a gathered call works for: one is its parent, several are linked to it. Absent: the active span is its parent. */
  readonly callers?: readonly SpanContext[];
};

/** One function per rpc. Each throws an AppError: the peer's own, `unavailable` or `deadline_exceeded`. */
export type Client<S extends DescService> = AsyncDisposable & {
  readonly [M in keyof S["method"]]: (
    request: MessageInitShape<S["method"][M]["input"]>,
    options?: CallSettings,
  ) => Promise<MessageShape<S["method"][M]["output"]>>;
};

/** Any request of a service. */
type AnyRequest<S extends DescService> = MessageInitShape<S["method"][keyof S["method"]]["input"]>;

/** Where a peer is, and what it is shown of this process. */
export type ClientOptions<S extends DescService> = {
  /** `host:port`. */
  readonly address: string;
  /** The name that the peer has in identity statements. Needed with a signer. */
  readonly audience?: string;
  /** Absent: no identity statements and no TLS. */
  readonly access?: ClientAccess;
  /** The UUID of the account in whose name a request is made; undefined: this process calls in its own name. */
  readonly userOf?: (request: AnyRequest<S>) => string | undefined;
  /** Ms of each call that names none; 2,000 unless given. */
  readonly deadlineMs?: number;
  /** Called with the peer's version with each of its answers. */
  readonly onVersion?: (version: string) => void;
};

/**
 * A client of the service at `host:port`; a name with several addresses is called in turn. Connects with the first
 * call. While the peer is known to be away, calls fail at once with `unavailable` instead of waiting.
 */
export function openClient<S extends DescService>(
  service: S,
  options: ClientOptions<S>,
): Client<S> {
  const { address, audience = "", access = {}, userOf, deadlineMs = DEADLINE_MS } = options;
  const { onVersion } = options;
  const channel = new GrpcClient(`dns:///${address}`, toChannelCredentials(access), {
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    "grpc.initial_reconnect_backoff_ms": RECONNECT_MS.first,
    "grpc.max_reconnect_backoff_ms": RECONNECT_MS.most,
    "grpc.dns_min_time_between_resolutions_ms": RECONNECT_MS.most,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 2_000,
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    "grpc.service_config_disable_resolution": 1, // no TXT look-ups: the policy is ours, above
    "grpc.enable_http_proxy": 0, // peers are neighbours, whatever http_proxy says
    // Own connections: a client that is closed cuts nobody else's.
    "grpc.use_local_subchannel_pool": 1,
  });
  const duration = histogram(METRIC.rpcClientDuration, { unit: "s" });
  const where = splitAddress(address);
  const definition = toServiceDefinition(service);
  const calls = service.methods.map((method) => [method.localName, createCall(method)] as const);
  return {
    ...Object.fromEntries(calls),
    async [Symbol.asyncDispose]() {
      channel.close();
    },
  } as Client<S>; // one function per method of the descriptor, by its own names

  function createCall(method: DescMethod) {
    const name = methodName(service, method);
    const rpc = definition[method.localName];
    if (!rpc) throw new Error(`${name} has no definition`);
    return async function call(
      request: unknown,
      { deadlineMs: ms = deadlineMs, callers }: CallSettings = {},
    ): Promise<unknown> {
      const startedMs = performance.now();
      // The types of Client saw to it that a request is one of this service.
      const userId = userOf?.(request as AnyRequest<S>);
      const statement = await access.signer?.(audience, userId);
      const span = tracing() ? openSpan(name, callers) : undefined;
      const callOptions: CallOptions = { deadline: Date.now() + Math.max(1, ms) };
      const metadata = new Metadata();
      if (statement) metadata.set(IDENTITY_HEADER, statement);
      if (span?.context) metadata.set("traceparent", formatTraceparent(span.context));
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const running = channel.makeUnaryRequest(
        rpc.path,
        rpc.requestSerialize,
        rpc.responseDeserialize,
        request,
        metadata,
        callOptions,
        function onAnswer(error: ServiceError | null, response?: unknown) {
          end(span, name, error?.code ?? status.OK, startedMs);
          if (!error) return resolve(response);
          const failure = toOwnFault(fromStatus(error, service.typeName), service.typeName);
          span?.fail(failure);
          span?.end();
          reject(failure);
        },
      );
      if (onVersion) running.on("metadata", tellVersion);
      return promise;
    };
  }

  function tellVersion(metadata: Metadata): void {
    const [version] = metadata.get(VERSION_HEADER);
    if (typeof version === "string") onVersion?.(version);
  }

  function openSpan(name: string, callers: readonly SpanContext[] | undefined): Span {
    const attributes = { [ATTR.rpcSystem]: "grpc", [ATTR.rpcMethod]: name, ...where };
    if (callers === undefined) return startSpan(name, { kind: "client", attributes });
    const [parent] = callers;
    if (callers.length === 1) return startSpan(name, { kind: "client", attributes, parent });
    return startSpan(name, { kind: "client", attributes, root: true, links: callers });
  }

  function end(span: Span | undefined, name: string, code: number, startedMs: number): void {
    const word = statusName(code);
    duration.record((performance.now() - startedMs) / 1000, {
      [ATTR.rpcSystem]: "grpc",
      [ATTR.rpcMethod]: name,
      [ATTR.rpcStatus]: word,
    });
    span?.set({ [ATTR.rpcStatus]: word });
    if (code === status.OK) span?.end();
  }
}

/**
 * A peer that refuses this process's identity refuses nothing of the person it was called for. Where it does not know the
 * identity, a key or a clock is wrong, and an operator must mend it: unavailable. Where it knows and forbids it, the call
 * should not have been made: internal. The reason stays.
 */
function toOwnFault(error: AppError, peer: string): AppError {
  if (!error.reason.startsWith("identity_")) return error;
  const message = `${peer} does not accept the identity of its caller.`;
  const details = { cause: error, retryAfterMs: IDENTITY_RETRY_MS };
  return error.code === "unauthenticated"
    ? new AppError("unavailable", error.reason, message, details)
    : new AppError("internal", error.reason, message, { cause: error });
}

function splitAddress(address: string): Record<string, string | number> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  return { [ATTR.serverAddress]: host, [ATTR.serverPort]: Number(address.slice(colon + 1)) };
}
