/**
 * The one endpoint. Its checks answer in this order: method, size, rate limit, token, content type, JSON, fields; only
 * then is anything published.
 */
import { AppError } from "@headgate/kit/errors";
import { createNamedId } from "@headgate/kit/ids";
import type { Admission, Claim, Gate, HookReply, HookRequest, HookRoute } from "../../dialect.ts";
import { budgetHeaders, budgetOf } from "./budget.ts";
import { Refusal, refuse, refuseMethod, renderError, toRefusal } from "./errors.ts";
import { checkHook, findHook, type Sender } from "./hook.ts";
import { claimOf, formatKept, isKept, readKept, readKey, refuseConflict } from "./idempotency.ts";
import { renderAccepted, toEvent } from "./map.ts";
import { isPlainJson } from "./media-type.ts";
import { BODY_BYTES_MAX, parseChatPayload } from "./schema.ts";

/** Every path that begins like this is the dialect's; what follows is a token, or nothing that it knows. */
export const PATH_PREFIX = "/api/open/v1/incoming/";

/** The hook endpoint over a gate. */
export function createRoutes(gate: Gate): readonly HookRoute[] {
  return [{ template: `${PATH_PREFIX}{token}`, match, handle }];

  async function handle(request: HookRequest): Promise<HookReply> {
    if (request.method !== "POST") throw await uncounted(request, refuseMethod(request.method));
    let body: Buffer;
    try {
      body = await request.readBody(BODY_BYTES_MAX);
    } catch (thrown) {
      throw await uncounted(request, toRefusal(AppError.from(thrown)));
    }
    const hook = await findHook(gate, request);
    const budget = budgetOf(hook, request);
    const ticket = judge(() => {
      const sender = checkHook(hook);
      if (!isPlainJson(request.headers)) throw refuse("media_type");
      const key = readKey(request.headers);
      const claim = key === undefined ? undefined : claimOf(sender.hook.record.id, key, body);
      return { sender, claim };
    });
    // A request that is refused by its head alone counts all the same, but claims no key.
    const claim = ticket instanceof Refusal ? undefined : ticket.claim;
    const admission = await gate.admit([budget], claim);
    const shown = budgetHeaders(budget, admission.budgets, gate.now());
    try {
      if (admission.decision === "limited") throw refuse("limited", admission.retryAfterMs);
      if (ticket instanceof Refusal) throw ticket;
      const reply = await answerClaimed(admission, ticket.claim, () =>
        post(ticket.sender, body, ticket.claim, request),
      );
      return { ...reply, headers: { ...reply.headers, ...shown } };
    } catch (thrown) {
      throw withHeaders(toRefusal(AppError.from(thrown)), shown);
    }
  }

  /** Does the work once per key: a key that was answered before gets that answer, one that is being answered waits. */
  async function answerClaimed(
    admission: Admission,
    claim: Claim | undefined,
    work: () => Promise<HookReply>,
  ): Promise<HookReply> {
    if (claim === undefined) return work();
    if (admission.decision === "replay") return readKept(admission.answer);
    if (admission.decision === "conflict") throw refuseConflict();
    if (admission.decision === "in_progress") throw refuse("key_in_progress");
    try {
      const reply = await work();
      await gate.settle(claim, formatKept(reply));
      return reply;
    } catch (thrown) {
      const reply = renderError(AppError.from(thrown));
      await gate.settle(claim, isKept(reply.status) ? formatKept(reply) : undefined);
      throw thrown;
    }
  }

  async function post(
    sender: Sender,
    body: Buffer,
    claim: Claim | undefined,
    request: HookRequest,
  ): Promise<HookReply> {
    const payload = parseChatPayload(body);
    const event = toEvent(payload, sender, {
      id: claim ? createNamedId(claim.scope, claim.key) : gate.createId(),
      number: await gate.drawNumber(),
      acceptedAt: gate.now(),
      traceId: request.traceId,
    });
    await gate.accept([event]);
    gate.touchHook(sender.hook.record.id);
    return renderAccepted(event, sender.channel, sender.writer.isBot ? sender.writer : undefined);
  }

  /** A refusal that takes nothing from the budget but shows it; without, when the hook cannot be told now. */
  async function uncounted(request: HookRequest, refusal: Refusal): Promise<Refusal> {
    try {
      const budget = budgetOf(await findHook(gate, request), request);
      const states = await gate.peek([budget]);
      return withHeaders(refusal, budgetHeaders(budget, states, gate.now()));
    } catch {
      return refusal;
    }
  }
}

function match(path: string): { token: string } | undefined {
  return path.startsWith(PATH_PREFIX) ? { token: path.slice(PATH_PREFIX.length) } : undefined;
}

function withHeaders(refusal: Refusal, headers: Readonly<Record<string, string>>): Refusal {
  refusal.headers = { ...refusal.headers, ...headers };
  return refusal;
}

/** What `work` gives, or the refusal it throws, to be thrown when its turn comes. */
function judge<T>(work: () => T): T | Refusal {
  try {
    return work();
  } catch (thrown) {
    return toRefusal(AppError.from(thrown));
  }
}
