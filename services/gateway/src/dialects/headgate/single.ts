/** One event: POST /in/{token}. */
import { AppError } from "@headgate/kit/errors";
import { stringifyJson } from "@headgate/kit/json";
import type { Message } from "@headgate/proto/chat/v1/chat";
import type { Gate, Hook, HookReply, HookRequest } from "../../dialect.ts";
import { keyRequest, once } from "../../ingest/idempotency.ts";
import { hookBudgets } from "../../ingest/rate-limit.ts";
import { findUsableHook, limited, rateLimitHeaders } from "./admission.ts";
import { API_BASE, locationOf } from "./api/created.ts";
import { renderError } from "./errors.ts";
import { createStamp, toEvent } from "./map.ts";
import { renderMessage } from "./message.ts";
import { checkMediaType, readIdempotencyKey, readWait } from "./request.ts";
import { parseEvent } from "./schema.ts";

/** Bytes of one event. Native API, "Forms that scripts rely on": 256 KiB. */
const BODY_BYTES_MAX = 256 * 1024;
/** ms that `?wait=readable` waits. Native API, section 3. */
const READABLE_MS = 5_000;
/** What is kept under a key: that its event was accepted. The id is the key's, and the rest is in the request. */
const KEPT = Buffer.from("1");

const JSON_HEADERS = Object.freeze({ "Content-Type": "application/json" });
type Headers = Readonly<Record<string, string>>;

/** Answers a request with one event; throws AppError for what it refuses. */
export async function acceptOne(gate: Gate, request: HookRequest): Promise<HookReply> {
  const hook = await findUsableHook(gate, request);
  checkMediaType(request.headers, false);
  const key = readIdempotencyKey(request.headers);
  const waits = readWait(request.query);
  const body = await request.readBody(BODY_BYTES_MAX);
  const budgets = hookBudgets(hook);
  if (budgets.length === 0 && key === undefined) {
    return post(gate, hook, request, body, gate.createId(), waits, JSON_HEADERS);
  }

  const scope = hook.record.id;
  const keyed =
    key === undefined ? undefined : keyRequest({ scope, kind: "event", key, parts: [body] });
  const admission = await gate.admit(budgets, keyed?.claim);
  const fields = rateLimitHeaders(hook, admission);
  if (admission.decision === "limited") {
    const reply = renderError(limited(admission));
    return { ...reply, headers: { ...reply.headers, ...fields } };
  }
  const id = keyed?.idOf(0) ?? gate.createId();
  const headers = { ...JSON_HEADERS, ...fields };
  return once(gate, keyed, admission, {
    work: async () => ({
      reply: await post(gate, hook, request, body, id, waits, headers),
      kept: KEPT,
    }),
    replay: async () => renderAccepted(gate, id, headers, waits ? await find(gate, id) : undefined),
  });
}

async function post(
  gate: Gate,
  hook: Hook,
  request: HookRequest,
  body: Buffer,
  id: string,
  waits: boolean,
  headers: Headers,
): Promise<HookReply> {
  const event = parseEvent(body);
  const stamp = createStamp(hook, gate.now(), request.traceId);
  await gate.accept([toEvent(event, id, stamp)]);
  gate.touchHook(hook.record.id);
  const messages = waits ? await gate.awaitReadable([id], READABLE_MS) : undefined;
  return renderAccepted(gate, id, headers, messages?.[0]);
}

/** 201 with the message where it can be read, else 202. */
function renderAccepted(
  gate: Gate,
  id: string,
  headers: Headers,
  message: Message | undefined,
): HookReply {
  if (!message) return { status: 202, headers, body: `{"id":"${id}","status":"accepted"}` };
  return {
    status: 201,
    headers: { ...headers, Location: locationOf(gate.publicUrl, `${API_BASE}/messages/${id}`) },
    body: stringifyJson(renderMessage(message)),
  };
}

/** A message that was accepted before, as it is now; undefined while it cannot be read. */
async function find(gate: Gate, id: string): Promise<Message | undefined> {
  try {
    return (await gate.getMessages([id]))[0];
  } catch (thrown) {
    if (AppError.from(thrown).code === "unavailable") return undefined;
    throw thrown;
  }
}
