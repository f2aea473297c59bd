/** One event: POST /in/{token}. */
import { createNamedId } from "@headgate/kit/ids";
import { stringifyJson } from "@headgate/kit/json";
import type { Gate, Hook, HookReply, HookRequest } from "../../dialect.ts";
import { budgetsOf, findUsableHook, limited, rateLimitHeaders } from "./admission.ts";
import { renderError } from "./errors.ts";
import { createStamp, toEvent } from "./map.ts";
import { renderMessage } from "./message.ts";
import { createClaim, replayOf, settled } from "./replay.ts";
import { checkMediaType, readIdempotencyKey, readWait } from "./request.ts";
import { parseEvent } from "./schema.ts";

/** Bytes of one event. Native API, "Forms that scripts rely on": 256 KiB. */
const BODY_BYTES_MAX = 256 * 1024;
/** ms that `?wait=readable` waits. Native API, section 3. */
const READABLE_MS = 5_000;

const JSON_HEADERS = Object.freeze({ "Content-Type": "application/json" });

/** Answers a request with one event; throws AppError for what it refuses. */
export async function acceptOne(gate: Gate, request: HookRequest): Promise<HookReply> {
  const hook = await findUsableHook(gate, request);
  checkMediaType(request.headers, false);
  const key = readIdempotencyKey(request.headers);
  const waits = readWait(request.query);
  const body = await request.readBody(BODY_BYTES_MAX);
  const budgets = budgetsOf(hook);
  if (budgets.length === 0 && key === undefined) {
    return post(gate, hook, request, body, gate.createId(), waits, JSON_HEADERS);
  }

  const claim = key === undefined ? undefined : createClaim(hook, key, body);
  const admission = await gate.admit(budgets, claim);
  const fields = rateLimitHeaders(hook, admission);
  if (admission.decision === "limited") {
    const reply = renderError(limited(admission));
    return { ...reply, headers: { ...reply.headers, ...fields } };
  }
  const replay = replayOf(admission);
  if (replay) return { ...replay, headers: { ...replay.headers, ...fields } };
  const id = key === undefined ? gate.createId() : createNamedId(hook.record.id, key);
  return settled(gate, claim, () =>
    post(gate, hook, request, body, id, waits, { ...JSON_HEADERS, ...fields }),
  );
}

async function post(
  gate: Gate,
  hook: Hook,
  request: HookRequest,
  body: Buffer,
  id: string,
  waits: boolean,
  headers: Readonly<Record<string, string>>,
): Promise<HookReply> {
  const event = parseEvent(body);
  const stamp = createStamp(hook, gate.now(), request.traceId);
  await gate.accept([toEvent(event, id, stamp)]);
  gate.touchHook(hook.record.id);
  if (waits) {
    const [message] = (await gate.awaitReadable([id], READABLE_MS)) ?? [];
    if (message) {
      const location = `/api/headgate/v1/messages/${id}`;
      return {
        status: 201,
        headers: { ...headers, Location: location },
        body: stringifyJson(renderMessage(message)),
      };
    }
  }
  return { status: 202, headers, body: `{"id":"${id}","status":"accepted"}` };
}
