/** Many events: POST /in/{token}/batch. Each is judged alone; the good ones are one wait for the log. */
import type { Event } from "@headgate/proto/event/v1/event";
import type { Admission, Gate, Hook, HookReply, HookRequest } from "../../dialect.ts";
import { type Done, type Keyed, keyRequest, once } from "../../ingest/idempotency.ts";
import { isTooLarge, tooLarge } from "../../ingest/publish.ts";
import { hookBudgets } from "../../ingest/rate-limit.ts";
import { findUsableHook, limited, rateLimitHeaders } from "./admission.ts";
import { type Item, readItems } from "./batch-items.ts";
import { type Problem, renderError, toItemProblem } from "./errors.ts";
import { packAccepted, wasAccepted } from "./kept-batch.ts";
import { createStamp, type Stamp, toEvent } from "./map.ts";
import { checkMediaType, readIdempotencyKey, refuseWait } from "./request.ts";

/** Bytes of a batch. Native API, section 3: 1 MiB. */
const BODY_BYTES_MAX = 1024 * 1024;

/** An item that can be published, or why it cannot. */
type Judged = { readonly event: Event } | { readonly problem: Problem };

/** Answers a request with 1 to 1,000 events; throws AppError for what it refuses as a whole. */
export async function acceptMany(gate: Gate, request: HookRequest): Promise<HookReply> {
  const hook = await findUsableHook(gate, request);
  checkMediaType(request.headers, true);
  refuseWait(request.query);
  const key = readIdempotencyKey(request.headers);
  const body = await request.readBody(BODY_BYTES_MAX);
  if (key === undefined) return (await post(gate, hook, request, body, undefined)).reply;
  const scope = hook.record.id;
  const keyed = keyRequest({ scope, kind: "batch", key, parts: [body] });
  return once(gate, keyed, await gate.admit([], keyed.claim), {
    work: () => post(gate, hook, request, body, keyed),
    replay: (kept) => replay(body, keyed, kept),
  });
}

async function post(
  gate: Gate,
  hook: Hook,
  request: HookRequest,
  body: Buffer,
  keyed: Keyed | undefined,
): Promise<Done> {
  const stamp = createStamp(hook, gate.now(), request.traceId);
  const judged = (await readItems(body)).map((item, index) =>
    judge(item, keyed?.idOf(index) ?? gate.createId(), stamp),
  );
  const admissions = await admitEach(gate, hook, judged);
  const events: Event[] = [];
  let refused: Admission | undefined;
  const results = judged.map((item, index) => {
    const admission = admissions?.[index];
    if ("problem" in item) return renderRefused(index, item.problem);
    if (admission?.decision === "limited") {
      refused = admission;
      return renderRefused(index, toItemProblem(limited(admission)));
    }
    events.push(item.event);
    return renderTaken(index, item.event.id);
  });
  const last = admissions?.findLast((admission) => admission !== undefined);
  const fields = last ? rateLimitHeaders(hook, last) : {};
  if (events.length === 0 && refused) {
    const reply = renderError(limited(refused));
    return { reply: { ...reply, headers: { ...reply.headers, ...fields } }, kept: undefined };
  }
  await gate.accept(events);
  if (events.length > 0) gate.touchHook(hook.record.id);
  // Kept only where every item has its final result: what the limit refused can be sent again under the same key.
  const isFinal = events.length > 0 && refused === undefined;
  const kept = isFinal ? packAccepted(judged.map((item) => "event" in item)) : undefined;
  return { reply: render(results, fields), kept };
}

/** The answer of a batch that was taken before: the ids are the key's, and what is wrong with an item is still wrong with it. */
async function replay(body: Buffer, keyed: Keyed, kept: Uint8Array): Promise<HookReply> {
  const results = (await readItems(body)).map((item, index) => {
    if (wasAccepted(kept, index)) return renderTaken(index, keyed.idOf(index));
    return renderRefused(index, "problem" in item ? item.problem : toItemProblem(tooLarge()));
  });
  return render(results, {});
}

function judge(item: Item, id: string, stamp: Stamp): Judged {
  if ("problem" in item) return item;
  const event = toEvent(item.event, id, stamp);
  return isTooLarge(event) ? { problem: toItemProblem(tooLarge()) } : { event };
}

/** Takes the hook's budget once for each good event, or its default ceiling; undefined where nothing limits them. */
async function admitEach(
  gate: Gate,
  hook: Hook,
  items: readonly Judged[],
): Promise<readonly (Admission | undefined)[] | undefined> {
  const budgets = hookBudgets(hook);
  if (budgets.length === 0) return admitUnderCeiling(gate, hook, items);
  return Promise.all(items.map((item) => ("event" in item ? gate.admit(budgets) : undefined)));
}

/** The first of the good events are admitted: the one that the request took already, and as many more as are granted. */
function admitUnderCeiling(
  gate: Gate,
  hook: Hook,
  items: readonly Judged[],
): readonly (Admission | undefined)[] | undefined {
  const good = items.filter((item) => "event" in item).length;
  const { granted, retryAfterMs } = gate.takeFromCeiling(hook, Math.max(0, good - 1));
  if (granted >= good - 1) return undefined;
  const refused: Admission = {
    decision: "limited",
    budgets: [],
    retryAfterMs,
    answer: new Uint8Array(),
  };
  let left = granted + 1;
  return items.map((item) => ("event" in item && left-- <= 0 ? refused : undefined));
}

function renderTaken(index: number, id: string): string {
  return `{"index":${index},"id":"${id}"}`;
}

function renderRefused(index: number, problem: Problem): string {
  return `{"index":${index},"error":${JSON.stringify(problem)}}`;
}

function render(results: readonly string[], fields: Readonly<Record<string, string>>): HookReply {
  return {
    status: 207,
    headers: { "Content-Type": "application/json", ...fields },
    body: `{"data":[${results.join(",")}]}`,
  };
}
