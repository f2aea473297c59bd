/**
 * The hot way in: hook requests on bare node:http. Finds the route, lets the dialect answer, writes the reply, and
 * leaves one span, one duration and at most one log line. Paths hold tokens: only templates are ever written down.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { BlockList } from "node:net";
import { AppError } from "@headgate/kit/errors";
import { readBody } from "@headgate/kit/http";
import type { Log } from "@headgate/kit/log";
import { ATTR, OURS } from "@headgate/kit/semconv";
import { parseTraceparent, type Span, startSpan, tracing, withSpan } from "@headgate/kit/telemetry";
import type { BodyRoom, HeldBody } from "./body-room.ts";
import type { Dialect, Gate, HookReply, HookRequest, HookRoute } from "./dialect.ts";
import { ceilingReached, type HookCeiling } from "./hook-ceiling.ts";
import { type Load, overloaded } from "./load.ts";
import { writeReply } from "./reply.ts";
import { createRequestRecorder, type RequestRecorder } from "./request-log.ts";
import { readSource, sourceKey } from "./source.ts";
import { createTraceId } from "./trace-ids.ts";

/** ms in which a body must arrive. */
const BODY_TIMEOUT_MS = 15_000;

/** Factor of the bound of a client address beyond which its connections are closed instead of answered. */
const CUT_FACTOR = 2;

/** What the hot way needs. */
export type HotDeps = {
  dialects: readonly Dialect[];
  gate: Gate;
  load: Load;
  bodies: BodyRoom;
  ceiling: HookCeiling;
  /** Requests under way at once of one client address. */
  requestsPerSourceMax: number;
  /** Whether limits are set for a hook: then the default ceiling does not hold for it. */
  hasLimits: (hookId: string) => boolean;
  trustedProxies: BlockList;
  log: Log;
  /** Whether accepted requests leave a line too. */
  logsAccepted: boolean;
};

type Mounted = {
  readonly route: HookRoute;
  readonly dialect: Dialect;
  readonly urlPath: string;
};

/** Makes the handler: true when it took the request. */
export function createHot(deps: HotDeps): (req: IncomingMessage, res: ServerResponse) => boolean {
  const record = createRequestRecorder(deps);
  const underWay = createTally();
  const mounted: readonly Mounted[] = deps.dialects.flatMap((dialect) =>
    dialect.hooks(deps.gate).map((route) => ({
      route,
      dialect,
      urlPath: route.template.replace(/\{[^}]*\}/g, "REDACTED"),
    })),
  );

  return function hot(req, res) {
    const url = req.url ?? "/";
    const queryAt = url.indexOf("?");
    const path = queryAt < 0 ? url : url.slice(0, queryAt);
    for (const candidate of mounted) {
      const params = candidate.route.match(path);
      if (params === undefined) continue;
      const query = queryAt < 0 ? "" : url.slice(queryAt + 1);
      const request = new Incoming(req, params, query, deps);
      underWay.enter(request.sourceKey);
      if (underWay.of(request.sourceKey) <= deps.requestsPerSourceMax * CUT_FACTOR) {
        void answer(deps, underWay, candidate, record, request, res);
      } else {
        underWay.leave(request.sourceKey);
        req.socket.destroy(); // its answers would only wait in memory
      }
      return true;
    }
    return false;
  };
}

/** Never rejects: whatever fails is rendered. */
async function answer(
  deps: HotDeps,
  underWay: Tally,
  { route, dialect, urlPath }: Mounted,
  record: RequestRecorder,
  request: Incoming,
  res: ServerResponse,
): Promise<void> {
  const startedMs = performance.now();
  const span = tracing() ? openSpan(request, dialect, route, urlPath) : undefined;
  request.traceId = span?.context?.traceId ?? createTraceId();
  request.spanId = span?.context?.spanId;
  let reply: HookReply;
  let error: AppError | undefined;
  try {
    if (deps.load.isFull() || underWay.of(request.sourceKey) > deps.requestsPerSourceMax) {
      throw overloaded();
    }
    reply = await (span ? withSpan(span, () => route.handle(request)) : route.handle(request));
  } catch (thrown) {
    error = AppError.from(thrown);
    if (error === overloaded() || request.isAtCeiling) await paceRefusal(deps.load, request);
    reply = dialect.renderError(error, request.traceId);
  }
  request.finish();
  underWay.leave(request.sourceKey);
  writeReply(request.req, res, reply, request.traceId);
  record(dialect.name, route.template, request, reply.status, error, performance.now() - startedMs);
  if (span) closeSpan(span, reply.status, error);
}

/** Counts what is under way by name; names with none are forgotten. */
type Tally = { enter(name: string): void; leave(name: string): void; of(name: string): number };

function createTally(): Tally {
  const counts = new Map<string, number>();
  return {
    enter: (name) => void counts.set(name, (counts.get(name) ?? 0) + 1),
    leave(name) {
      const left = (counts.get(name) ?? 1) - 1;
      if (left === 0) counts.delete(name);
      else counts.set(name, left);
    },
    of: (name) => counts.get(name) ?? 0,
  };
}

/** Waits until a refusal for load, or at the default ceiling, may be answered; what arrives of the body meanwhile is not kept. */
async function paceRefusal(load: Load, request: Incoming): Promise<void> {
  request.finish();
  request.req.resume();
  await load.pause(request.sender);
}

/** A request as dialects see it. A class, so that a request costs one object and no closures. */
class Incoming implements HookRequest {
  readonly method: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly headers: IncomingMessage["headers"];
  traceId = "";
  /** It is refused because its hook sent as much as the default ceiling allows. */
  isAtCeiling = false;
  /** Of the request's span; undefined where nothing is traced. */
  spanId: string | undefined;
  readonly req: IncomingMessage;
  readonly #deps: HotDeps;
  #source: string | undefined;
  #sourceKey: string | undefined;
  #hookId: string | undefined;
  #body: HeldBody | undefined;

  constructor(
    req: IncomingMessage,
    params: Readonly<Record<string, string>>,
    query: string,
    deps: HotDeps,
  ) {
    this.req = req;
    this.method = req.method ?? "";
    this.params = params;
    this.query = query;
    this.headers = req.headers;
    this.#deps = deps;
  }

  get source(): string {
    this.#source ??= readSource(this.req, this.#deps.trustedProxies);
    return this.#source;
  }

  /** The hook, where it is known; else the client address. */
  get sender(): string {
    return this.#hookId ?? this.sourceKey;
  }

  /** What the sender's budgets are kept under. */
  get sourceKey(): string {
    this.#sourceKey ??= sourceKey(this.source);
    return this.#sourceKey;
  }

  assignTo(hookId: string): void {
    this.#hookId = hookId;
    this.#deps.load.check(hookId);
    if (!this.#deps.hasLimits(hookId)) this.#takeFromCeiling(hookId);
    this.#body?.assignTo(`hook:${hookId}`);
  }

  readBody(bytesMax: number): Promise<Buffer> {
    const room = this.#deps.bodies.open(this.sourceKey);
    if (this.#hookId !== undefined) room.assignTo(`hook:${this.#hookId}`);
    this.#body = room;
    return readBody(this.req, { bytesMax, timeoutMs: BODY_TIMEOUT_MS, room });
  }

  #takeFromCeiling(hookId: string): void {
    const { granted, retryAfterMs } = this.#deps.ceiling.take(hookId, 1);
    this.isAtCeiling = granted === 0;
    if (this.isAtCeiling) throw ceilingReached(retryAfterMs);
  }

  /** Gives back the room of the body. */
  finish(): void {
    this.#body?.close();
  }
}

function openSpan(request: Incoming, dialect: Dialect, route: HookRoute, urlPath: string): Span {
  const caller = parseTraceparent(headerText(request.headers.traceparent));
  return startSpan(`${request.method} ${route.template}`, {
    kind: "server",
    root: true,
    links: caller ? [caller] : [],
    attributes: {
      [ATTR.httpMethod]: request.method,
      [ATTR.httpRoute]: route.template,
      [ATTR.urlPath]: urlPath,
      [ATTR.urlScheme]: "http",
      [OURS.dialect]: dialect.name,
    },
  });
}

function closeSpan(span: Span, status: number, error: AppError | undefined): void {
  span.set({
    [ATTR.httpStatus]: status,
    [OURS.outcome]: status < 400 ? "accepted" : "refused",
    ...(error && { [OURS.reason]: error.reason }),
  });
  if (error && status >= 500) span.fail(error);
  span.end();
}

function headerText(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === "string" ? value : value?.[0];
}
