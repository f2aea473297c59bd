/** Mounts routes: identifies, reads, validates, answers. Every failure becomes a problem. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { AppError, STATUS } from "@headgate/kit/errors";
import { isUuid } from "@headgate/kit/ids";
import { stringifyJson } from "@headgate/kit/json";
import { ATTR } from "@headgate/kit/semconv";
import { activeSpan } from "@headgate/kit/telemetry";
import express, { type Router } from "express";
import { Type } from "typebox";
import type { Gate } from "../../../dialect.ts";
import { sourceKey } from "../../../source.ts";
import { renderError } from "../errors.ts";
import { type Caller, identify } from "./caller.ts";
import { locationOf } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { type Keyed, type ReadBody, readJson, readKey, readQuery } from "./read.ts";
import type { AnyRoute, ApiReply, ApiRequest } from "./route.ts";
import { bodyInvalid, type Check, createCompiler, findNuls, queryInvalid } from "./validate.ts";

type Deps = { gate: Gate; deps: ApiDeps; routes: readonly AnyRoute[] };
type Checks = { readonly query: Check; readonly body: Check | undefined };

const NO_QUERY = Type.Object({}, { additionalProperties: false });
const NO_BODY: ReadBody = {
  value: undefined,
  bytes: Buffer.alloc(0),
  digest: new Uint8Array(32),
};
/** Who asks on a public route: nobody. */
const NOBODY = { user: { id: "" } } as Caller; // handlers of public routes are given no account to read

/** A router over routes; other methods of their paths are 405, other paths 404. */
export function createRouter({ gate, deps, routes }: Deps): Router {
  const router = express.Router({ caseSensitive: true, strict: true });
  const compile = createCompiler();
  const methods = new Map<string, string[]>();
  for (const declared of routes) {
    const path = declared.path.replaceAll(/\{(\w+)\}/g, ":$1");
    methods.set(path, [...(methods.get(path) ?? []), declared.method]);
    const checks = {
      query: compile(declared.query ?? NO_QUERY),
      body: declared.body && compile(declared.body),
    };
    router[declared.method](path, async (req, res) => {
      // Express hands HEAD to GET; a stream has no head of its own.
      await answer(req, res, () => run(declared, checks, req, res, req.params));
    });
  }
  for (const [path, known] of methods) {
    const allow = known.flatMap((method) =>
      method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()],
    );
    router.all(path, (req, res) => {
      res.setHeader("Allow", allow.join(", "));
      fail(req, res, methodNotAllowed(allow));
    });
  }
  router.use((req, res) => {
    fail(req, res, new AppError("not_found", "path_unknown", "There is nothing here."));
  });
  return router;

  async function answer(
    req: IncomingMessage,
    res: ServerResponse,
    work: () => Promise<ApiReply | undefined>,
  ): Promise<void> {
    try {
      const reply = await work();
      if (reply) send(req, res, located(reply));
    } catch (thrown) {
      fail(req, res, inTime(AppError.from(thrown)));
    }
  }

  /** Paths below the public URL, which may have a path of its own. */
  function located(reply: ApiReply): ApiReply {
    const { Location } = reply.headers ?? {};
    if (Location === undefined) return reply;
    return {
      ...reply,
      headers: { ...reply.headers, Location: locationOf(gate.publicUrl, Location) },
    };
  }

  async function run(
    declared: AnyRoute,
    checks: Checks,
    req: IncomingMessage,
    res: ServerResponse,
    params: Readonly<Record<string, unknown>>,
  ): Promise<ApiReply | undefined> {
    const caller = declared.isPublic ? NOBODY : await identify(deps, req);
    for (const [name, noun] of Object.entries(declared.params ?? {})) {
      if (!isUuid(String(params[name]))) throw missing(noun);
    }
    const query = readQuery(req.url ?? "", declared.query ?? NO_QUERY);
    const queryFaults = checks.query(query);
    if (queryFaults.length > 0) throw queryInvalid(queryFaults);
    const body = checks.body
      ? await readJson(req, bodyBounds(declared, req, res, caller))
      : NO_BODY;
    const bodyFaults = [...(checks.body?.(body.value) ?? []), ...findNuls(body.value)];
    if (bodyFaults.length > 0) throw bodyInvalid(bodyFaults);
    const traceId = traceIdOf(res);
    const path = pathOf(req);
    const userId = caller.user.id;
    const keyed =
      declared.method === "post" && !declared.isPublic
        ? readKey(req, { userId, path, digest: body.digest })
        : undefined;
    const request = {
      req,
      res,
      params: params as Record<string, string>, // Express gives texts; each was checked above
      query,
      body: body.value,
      bodyBytes: body.bytes,
      caller,
      actor: { userId, traceId },
      traceId,
      newId: keyed?.newId ?? "",
      isReplay: false,
    };
    return keyed ? await repeatable(declared, request, keyed) : await handle(declared, request);
  }

  /** The bounds of a body; its bytes count for the caller, on public routes for the client address, until the answer is out. */
  function bodyBounds(
    declared: AnyRoute,
    req: IncomingMessage,
    res: ServerResponse,
    { user }: Caller,
  ) {
    const room = deps.bodies.open(sourceKey(deps.sourceOf(req)));
    if (user.id !== "") room.assignTo(`user:${user.id}`);
    res.once("close", () => room.close());
    return { bytesMax: declared.bodyBytesMax, room };
  }

  /** Runs a keyed POST; its replay runs again, under the same id, and finds what the first made. */
  async function repeatable(
    declared: AnyRoute,
    request: ApiRequest<unknown, unknown>,
    { claim }: Keyed,
  ): Promise<ApiReply | undefined> {
    const { decision, retryAfterMs } = await gate.admit([], claim);
    if (decision === "in_progress") {
      const message = "The first request with this Idempotency-Key has not been answered yet.";
      throw new AppError("aborted", "idempotency_in_progress", message, { retryAfterMs });
    }
    if (decision === "conflict") {
      const message = "This Idempotency-Key was used for another body.";
      throw new AppError("invalid_argument", "idempotency_key_reused", message, { http: 422 });
    }
    if (decision === "replay") {
      const reply = await handle(declared, { ...request, isReplay: true });
      return reply && { ...reply, headers: { ...reply.headers, "Idempotency-Replayed": "true" } };
    }
    let isDone = false;
    try {
      const reply = await handle(declared, request);
      isDone = true;
      return reply;
    } finally {
      // A memory that fails costs a polite answer, no more: the id is the key's.
      await gate.settle(claim, isDone ? Buffer.from("done") : undefined).catch(() => undefined);
    }
  }

  /** Faults of fields that the registry finds are faults of the body. */
  async function handle(declared: AnyRoute, request: ApiRequest<unknown, unknown>) {
    try {
      return await declared.handler(request);
    } catch (thrown) {
      const error = AppError.from(thrown);
      const isOfBody = error.code === "invalid_argument" && error.faults.length > 0;
      throw declared.body && isOfBody ? bodyInvalid(error.faults) : error;
    }
  }

  function fail(req: IncomingMessage, res: ServerResponse, error: AppError): void {
    const reply = renderError(error);
    if (reply.status >= 500 && error.code === "internal") {
      deps.log.error("api request failed", {
        ...(activeSpan() ? {} : { trace_id: traceIdOf(res) }), // inside a span the log says it by itself
        [ATTR.httpMethod]: req.method,
        error: error.cause ?? error,
      });
    }
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const headers = {
      ...reply.headers,
      ...(reply.status === 401 && { "WWW-Authenticate": "Bearer" }),
    };
    write(req, res, reply.status, headers, String(reply.body));
  }
}

/** A service that did not answer in time counts as unavailable: the answer is 503 and says when to try again. */
function inTime(error: AppError): AppError {
  if (error.code !== "deadline_exceeded" || error.httpStatus !== STATUS.deadline_exceeded.http) {
    return error;
  }
  const message = "A part of the system did not answer in time. Try again soon.";
  return new AppError("unavailable", error.reason, message, { cause: error, retryAfterMs: 1_000 });
}

/** A missing thing, in the registry's own words for it. */
export function missing(noun: string): AppError {
  return new AppError("not_found", `${noun}_unknown`, `There is no such ${noun}.`);
}

function methodNotAllowed(allow: readonly string[]): AppError {
  const message = `Only ${allow.join(", ")} is taken here.`;
  return new AppError("unimplemented", "method_not_allowed", message, { http: 405 });
}

function send(
  req: IncomingMessage,
  res: ServerResponse,
  { status, headers, body }: ApiReply,
): void {
  if (body === undefined) write(req, res, status, { ...headers }, undefined);
  else
    write(
      req,
      res,
      status,
      { "Content-Type": "application/json", ...headers },
      stringifyJson(body),
    );
}

function write(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string | undefined,
): void {
  if (res.destroyed) return;
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  // Answers are one caller's own: nobody on the way may keep them.
  res.setHeader("Cache-Control", "no-store");
  res.setHeader("X-Content-Type-Options", "nosniff");
  if (text !== undefined) res.setHeader("Content-Length", Buffer.byteLength(text));
  res.end(req.method === "HEAD" ? undefined : text);
}

function pathOf(req: IncomingMessage): string {
  return (req.url ?? "").split("?", 1)[0] ?? "";
}

/** The front door gives every answer its trace's id before anything else. */
function traceIdOf(res: ServerResponse): string {
  return String(res.getHeader("X-Request-Id") ?? "");
}
