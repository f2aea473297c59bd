/**
 * One connection to one broker. kafkajs carries the bytes (sockets, framing, TLS, SASL, request timeouts) and knows the
 * layouts of requests; what is asked, when and how often again is decided by our own files beside this one, because
 * kafkajs's own producer and consumer do not keep the promises we make:
 *
 * - its idempotent producer takes sequence numbers back after a failed send and gives them to other records, which the
 *   broker then takes for a repetition and acknowledges without storing;
 * - a retried send skips the partitions that moved to a broker which had answered already;
 * - its consumer stops for good after some failures, and one slow partition holds up all others of its broker.
 *
 * The version of kafkajs is pinned: its inner modules are no public interface. Versions of requests are
 * checked against what the broker says it speaks.
 */
import { createRequire } from "node:module";
import type { Apis } from "./apis.ts";
import { FETCH_VERSION } from "./fetch.ts";
import { PRODUCE_VERSION } from "./produce.ts";
import { UnsupportedVersion } from "./refusals.ts";
import type { KafkaAccess } from "./types.ts";

/** A request whose bytes we lay out ourselves. */
export type RawRequest<Result> = {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  readonly body: Buffer;
  readonly decode: (payload: Buffer) => Result;
};

/** How one request may differ. */
export type CallOptions = {
  /** ms for the answer. */
  readonly timeoutMs?: number;
  /** Hand over answers that carry error codes instead of throwing them. */
  readonly lenient?: boolean;
};

/** An open connection. Any failure but a broker's refusal closes it, and fails all it was carrying. */
export type Link = {
  readonly open: boolean;
  /** `host:port` of the broker. */
  readonly address: string;
  call<Name extends keyof Apis>(
    api: Name,
    params: Apis[Name]["params"],
    options?: CallOptions,
  ): Promise<Apis[Name]["result"]>;
  send<Result>(request: RawRequest<Result>, options?: { timeoutMs?: number }): Promise<Result>;
  /** Drops the connection at once. */
  close(): void;
};

type RequestVersion = Pick<RawRequest<unknown>, "apiKey" | "apiVersion" | "apiName">;

/** Where a broker listens. */
export type Address = { readonly host: string; readonly port: number };

/** ms to connect, TLS included. */
const CONNECT_TIMEOUT_MS = 3_000;
/** ms for an answer unless the request says more. */
const REQUEST_TIMEOUT_MS = 5_000;
/** What every broker must speak; other requests are checked when they are sent. */
const NEEDED: readonly RequestVersion[] = [
  { apiKey: 0, apiVersion: PRODUCE_VERSION, apiName: "Produce" },
  { apiKey: 1, apiVersion: FETCH_VERSION, apiName: "Fetch" },
];
/** Key of the SaslAuthenticate request: a broker that knows it speaks the newer authentication frames. */
const SASL_AUTHENTICATE = 36;

/**
 * Connects, learns what the broker speaks, and authenticates.
 * @throws an Error when the broker does not answer, or refuses us (see `explainRefusal`)
 */
export async function openLink(
  address: Address,
  access: Pick<KafkaAccess, "tls" | "sasl"> & { readonly clientId: string },
): Promise<Link> {
  const connection = new Connection({
    ...address,
    clientId: access.clientId,
    ssl: access.tls ? withoutUndefined(access.tls) : null,
    sasl: access.sasl ? { ...access.sasl } : null, // kafkajs keeps state in it
    logger: silent,
    socketFactory: createSocketFactory(),
    connectionTimeout: CONNECT_TIMEOUT_MS, // it misses a connection that ends while it is made: hence the guard below
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: false, // by the wall clock, which may step back: `guard` has a timer of its own
  });
  // kafkajs holds requests back while a quota throttles (by the wall clock, and the broker does so itself), and sets a timer
  // of negative delay after every answer to look at those that wait. None waits.
  connection.requestQueue.maybeThrottle = () => {};
  connection.requestQueue.scheduleCheckPendingRequests = () => {};

  let closed = false;
  let versions: Record<number, { minVersion: number; maxVersion: number }> = {
    [apiKeys.ApiVersions]: { minVersion: 0, maxVersion: 2 },
  };
  const link: Link = {
    call,
    send,
    close,
    address: `${address.host}:${address.port}`,
    open: false,
  };
  Object.defineProperty(link, "open", { get: () => !closed && connection.isConnected() });
  try {
    await guard(connection.connect(), CONNECT_TIMEOUT_MS);
    const { apiVersions } = await call("ApiVersions", {});
    versions = Object.fromEntries(apiVersions.map((known) => [known.apiKey, known]));
    for (const need of NEEDED) checkVersion(need);
    connection.setVersions(versions);
    connection.setSupportAuthenticationProtocol(SASL_AUTHENTICATE in versions);
    await guard(connection.authenticate(), REQUEST_TIMEOUT_MS);
    return link;
  } catch (thrown) {
    close();
    throw thrown;
  }

  async function call<Name extends keyof Apis>(
    api: Name,
    params: Apis[Name]["params"],
    { timeoutMs = REQUEST_TIMEOUT_MS, lenient = false }: CallOptions = {},
  ): Promise<Apis[Name]["result"]> {
    const definition = requests[api];
    const newest = Math.max(...definition.versions.map(Number));
    const apiVersion = Math.min(newest, versions[apiKeys[api]]?.maxVersion ?? newest);
    checkVersion({ apiKey: apiKeys[api], apiVersion, apiName: api });
    const { request, response } = definition.protocol({ version: apiVersion })(params);
    const parse = lenient ? async (data: unknown) => data : response.parse;
    const answer = await exchange({ request, response: { decode: response.decode, parse } });
    return answer as Apis[Name]["result"]; // what kafkajs decodes of this request

    function exchange(pair: Pair): Promise<unknown> {
      return guard(connection.send({ ...pair, logResponseError: false }), timeoutMs);
    }
  }

  async function send<Result>(
    { apiKey, apiVersion, apiName, body, decode }: RawRequest<Result>,
    { timeoutMs = REQUEST_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<Result> {
    checkVersion({ apiKey, apiVersion, apiName });
    const encoded = { buf: body, buffer: body }; // as much of an Encoder as is read of it
    const answer = await guard(
      connection.send({
        request: { apiKey, apiVersion, apiName, encode: async () => encoded },
        response: { decode: async (raw) => decode(raw), parse: async (data) => data },
        logResponseError: false,
      }),
      timeoutMs,
    );
    return answer as Result; // of `decode` above
  }

  function checkVersion({ apiKey, apiVersion, apiName }: RequestVersion): void {
    const known = versions[apiKey];
    if (known && known.minVersion <= apiVersion && apiVersion <= known.maxVersion) return;
    const range = known ? `it speaks ${known.minVersion} to ${known.maxVersion}` : "it has none";
    throw new UnsupportedVersion(
      `the broker does not speak version ${apiVersion} of ${apiName} (${range}): Kafka 2.3 to 4.x is needed`,
    );
  }

  /** A request that is not answered in time ends the connection, and with it every other one: answers come in order. */
  async function guard(answer: Promise<unknown>, timeoutMs: number): Promise<unknown> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const reason = `the broker did not answer within ${timeoutMs} ms`;
      close(reason);
      reject(new Error(reason));
    }, timeoutMs);
    try {
      return await Promise.race([answer, late]);
    } catch (thrown) {
      if (refusalOf(thrown) === undefined) close();
      throw thrown;
    } finally {
      clearTimeout(timer);
    }
  }

  function close(reason = "the connection to the broker was closed"): void {
    if (closed) return;
    closed = true;
    connection.rejectRequests(new Error(reason));
    connection.disconnect().catch(() => {}); // destroyed below, whatever it says
    connection.socket?.destroy();
  }
}

/** The error code of a broker's refusal; undefined when the connection failed instead. */
export function refusalOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code } = thrown as Error & { code?: unknown }; // kafkajs's protocol errors carry one
  return /^KafkaJS(ProtocolError|MemberIdRequired)$/.test(thrown.name) && typeof code === "number"
    ? code
    : undefined;
}

function withoutUndefined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

type Pair = {
  request: {
    apiKey: number;
    apiVersion: number;
    apiName: string;
    encode: () => Promise<unknown>;
  };
  response: {
    decode: (payload: Buffer) => Promise<unknown>;
    parse: (data: unknown) => Promise<unknown>;
  };
};

type WireConnection = {
  socket?: { destroy(): void };
  readonly requestQueue: { maybeThrottle: () => void; scheduleCheckPendingRequests: () => void };
  connect(): Promise<unknown>;
  disconnect(): Promise<unknown>;
  isConnected(): boolean;
  authenticate(): Promise<void>;
  setVersions(versions: unknown): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  rejectRequests(error: Error): void;
  send(pair: Pair & { logResponseError: boolean }): Promise<unknown>;
};

type WireDefinition = {
  versions: string[];
  protocol: (choice: { version: number }) => (params: unknown) => Pair;
};

// kafkajs's inner modules have no types: the shapes above are what version 2.2.4 has.
const require = createRequire(import.meta.url);
const Connection = require("kafkajs/src/network/connection") as new (
  options: object,
) => WireConnection;
const createSocketFactory = require("kafkajs/src/network/socketFactory") as () => unknown;
const { requests } = require("kafkajs/src/protocol/requests") as {
  requests: Record<keyof Apis, WireDefinition>;
};
const apiKeys = require("kafkajs/src/protocol/requests/apiKeys") as Record<keyof Apis, number>;

/** What kafkajs would log reaches us as errors; it is said once, where it matters. */
const silent = { namespace: () => silent, debug() {}, info() {}, warn() {}, error() {} };
