/**
 * The one endpoint. Its checks answer in this order: method, size, rate limit, token, content type, JSON, fields; only
 * then is anything published. The token is looked up first all the same, so that the body of an unknown one is never read.
 */
import { AppError } from "@headgate/kit/errors";
import type { Gate, HookReply, HookRequest, HookRoute } from "../../dialect.ts";
import { type Done, type Keyed, keyRequest, once } from "../../ingest/idempotency.ts";
import { budgetHeaders, budgetOf } from "./budget.ts";
import { Refusal, refuse, refuseMethod, toRefusal } from "./errors.ts";
import { checkHook, findHook, type Sender } from "./hook.ts";
import { packAccepted, readKey, unpackAccepted } from "./idempotency.ts";
import { acceptedOf, renderAccepted, toEvent } from "./map.ts";
import { isPlainJson } from "./media-type.ts";
import { keyedNumber } from "./number.ts";
import { BODY_BYTES_MAX, parseChatPayload } from "./schema.ts";

/** Every path that begins like this is the dialect's; what follows is a token, or nothing that it knows. */
export const PATH_PREFIX = "/api/open/v1/incoming/";

/** A usable hook and the key of a request, or the refusal that comes when it is its turn. */
type Ticket = { readonly sender: Sender; readonly key: string | undefined };

/** The hook endpoint over a gate. */
export function createRoutes(gate: Gate): readonly HookRoute[] {
  return [{ template: `${PATH_PREFIX}{token}`, match, handle }];

  async function handle(request: HookRequest): Promise<HookReply> {
    if (request.method !== "POST") throw await uncounted(request, refuseMethod(request.method));
    if (Number(request.headers["content-length"] ?? 0) > BODY_BYTES_MAX) {
      throw await uncounted(request, refuse("body_too_large"));
    }
    const found = await findHook(gate, request);
    if (!found.hook) {
      const { decision, retryAfterMs, budgets } = found.admission;
      const isLimited = decision === "limited";
      const refusal = isLimited ? refuse("limited", retryAfterMs) : refuse("hook_unknown");
      throw withHeaders(refusal, budgetHeaders(found.budget, budgets, gate.now()));
    }
    const { hook } = found;
    request.assignTo(hook.record.id);
    const ticket = await judge(async (): Promise<Ticket> => {
      const sender = await checkHook(gate, hook);
      if (!isPlainJson(request.headers)) throw refuse("media_type");
      return { sender, key: readKey(request.headers) };
    });
    // What is refused by its head alone counts all the same, but its body is not read and it claims no key.
    const body = ticket instanceof Refusal ? Buffer.alloc(0) : await readBody(request);
    const keyed = ticket instanceof Refusal ? undefined : toKeyed(ticket, body);
    const budget = budgetOf(hook);
    const admission = await gate.admit([budget], keyed?.claim);
    const shown = budgetHeaders(budget, admission.budgets, gate.now());
    try {
      if (admission.decision === "limited") throw refuse("limited", admission.retryAfterMs);
      if (ticket instanceof Refusal) throw ticket;
      const reply = await once(gate, keyed, admission, {
        work: () => post(ticket.sender, body, keyed, request),
        replay: (kept) => renderAccepted(unpackAccepted(kept, parseChatPayload(body).text)),
      });
      return { ...reply, headers: { ...reply.headers, ...shown } };
    } catch (thrown) {
      const error = AppError.from(thrown);
      // The webhook server paces refusals for load, and knows them by their error.
      throw error.reason === "overloaded" ? error : withHeaders(toRefusal(error), shown);
    }
  }

  async function post(
    sender: Sender,
    body: Buffer,
    keyed: Keyed | undefined,
    request: HookRequest,
  ): Promise<Done> {
    const payload = parseChatPayload(body);
    const id = keyed?.idOf(0) ?? gate.createId();
    const event = toEvent(payload, sender, {
      id,
      number: keyed ? keyedNumber(id) : await gate.drawNumber(),
      acceptedAt: gate.now(),
      traceId: request.traceId,
    });
    await gate.accept([event]);
    gate.touchHook(sender.hook.record.id);
    const accepted = acceptedOf(event, sender);
    return { reply: renderAccepted(accepted), kept: keyed && packAccepted(accepted) };
  }

  async function readBody(request: HookRequest): Promise<Buffer> {
    try {
      return await request.readBody(BODY_BYTES_MAX);
    } catch (thrown) {
      const error = AppError.from(thrown);
      throw error.code === "unavailable" ? error : await uncounted(request, toRefusal(error));
    }
  }

  /** A refusal that takes nothing from the hook's budget but shows it; without it when the hook cannot be found now. */
  async function uncounted(request: HookRequest, refusal: Refusal): Promise<Refusal> {
    try {
      const found = await findHook(gate, request);
      const budget = found.hook ? budgetOf(found.hook) : found.budget;
      const states = found.hook ? await gate.peek([budget]) : found.admission.budgets;
      return withHeaders(refusal, budgetHeaders(budget, states, gate.now()));
    } catch {
      return refusal;
    }
  }
}

function match(path: string): { token: string } | undefined {
  return path.startsWith(PATH_PREFIX) ? { token: path.slice(PATH_PREFIX.length) } : undefined;
}

function toKeyed({ sender, key }: Ticket, body: Buffer): Keyed | undefined {
  if (key === undefined) return undefined;
  return keyRequest({ scope: sender.hook.record.id, kind: "message", key, parts: [body] });
}

function withHeaders(refusal: Refusal, headers: Readonly<Record<string, string>>): Refusal {
  refusal.headers = { ...refusal.headers, ...headers };
  return refusal;
}

/** What `work` gives, or the refusal it throws, to be thrown when its turn comes. */
async function judge<T>(work: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (thrown) {
    return toRefusal(AppError.from(thrown));
  }
}
