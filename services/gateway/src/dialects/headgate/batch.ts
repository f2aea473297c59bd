/** Many events: POST /in/{token}/batch. Each is judged alone; the good ones are one wait for the log. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "@headgate/kit/errors";
import { createNamedId } from "@headgate/kit/ids";
import { splitJsonArray } from "@headgate/kit/json";
import type { Event } from "@headgate/proto/event/v1/event";
import type { Admission, Gate, Hook, HookReply, HookRequest } from "../../dialect.ts";
import { budgetsOf, findUsableHook, limited, rateLimitHeaders } from "./admission.ts";
import { type Problem, renderError, toProblem } from "./errors.ts";
import { createStamp, toEvent } from "./map.ts";
import { createClaim, replayOf, settled } from "./replay.ts";
import { checkMediaType, readIdempotencyKey } from "./request.ts";
import { type NativeEvent, parseEvent } from "./schema.ts";

/** Bytes of a batch. Native API, section 3: 1 MiB. */
const BODY_BYTES_MAX = 1024 * 1024;
/** Events of a batch. Native API, section 3. */
const EVENTS_MAX = 1_000;
/** Faults told of one event of a batch, so that the answer stays near the size of the batch. */
const FAULTS_MAX = 10;
/** ms for which a batch may hold the event loop while its items are read. */
const SLICE_MS = 5;
const BRACKET = 0x5b;
const NEWLINE = 0x0a;

/** A good event, or why it is none. */
type Item =
  | { readonly event: NativeEvent }
  | { readonly problem: Problem; readonly error: AppError };

/** Answers a request with 1 to 1,000 events; throws AppError for what it refuses as a whole. */
export async function acceptMany(gate: Gate, request: HookRequest): Promise<HookReply> {
  const hook = await findUsableHook(gate, request);
  checkMediaType(request.headers, true);
  const key = readIdempotencyKey(request.headers);
  const body = await request.readBody(BODY_BYTES_MAX);
  if (key === undefined) return post(gate, hook, request, body, undefined);
  const claim = createClaim(hook, key, body);
  const replay = replayOf(await gate.admit([], claim));
  if (replay) return replay;
  return settled(gate, claim, () => post(gate, hook, request, body, key));
}

async function post(
  gate: Gate,
  hook: Hook,
  request: HookRequest,
  body: Buffer,
  key: string | undefined,
): Promise<HookReply> {
  const items = await readItems(body);
  const stamp = createStamp(hook, gate.now(), request.traceId);
  const admissions = await admitEach(gate, hook, items);
  const events: Event[] = [];
  let refused: Admission | undefined;
  let data = "";
  for (let index = 0; index < items.length; index++) {
    const item = items[index];
    const admission = admissions?.[index];
    if (item === undefined) continue;
    if (data !== "") data += ",";
    if ("problem" in item) {
      data += `{"index":${index},"error":${JSON.stringify(item.problem)}}`;
    } else if (admission?.decision === "limited") {
      refused = admission;
      data += `{"index":${index},"error":${JSON.stringify(toProblem(limited(admission)))}}`;
    } else {
      const id =
        key === undefined ? gate.createId() : createNamedId(hook.record.id, `${key}/${index}`);
      events.push(toEvent(item.event, id, stamp));
      data += `{"index":${index},"id":"${id}"}`;
    }
  }
  const last = admissions?.findLast((admission) => admission !== undefined);
  const fields = last ? rateLimitHeaders(hook, last) : {};
  if (events.length === 0 && refused) {
    const reply = renderError(limited(refused));
    return { ...reply, headers: { ...reply.headers, ...fields } };
  }
  await gate.accept(events);
  if (events.length > 0) gate.touchHook(hook.record.id);
  return {
    status: 207,
    headers: { "Content-Type": "application/json", ...fields },
    body: `{"data":[${data}]}`,
  };
}

/** Takes the hook's budget once for each good event, or its default ceiling; undefined where nothing limits them. */
async function admitEach(
  gate: Gate,
  hook: Hook,
  items: readonly Item[],
): Promise<readonly (Admission | undefined)[] | undefined> {
  const budgets = budgetsOf(hook);
  if (budgets.length === 0) return admitUnderCeiling(gate, hook, items);
  return Promise.all(items.map((item) => ("event" in item ? gate.admit(budgets) : undefined)));
}

/** The first of the good events are admitted: the one that the request took already, and as many more as are granted. */
function admitUnderCeiling(
  gate: Gate,
  hook: Hook,
  items: readonly Item[],
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

/**
 * The items of a JSON array, or of lines of JSON. They are parsed one by one, with turns for other requests in between.
 * @throws AppError invalid_argument: malformed as a whole (http 400), `batch_size` (http 422)
 */
async function readItems(body: Buffer): Promise<Item[]> {
  const isList = isArray(body);
  const texts = isList ? splitJsonArray(body, EVENTS_MAX) : splitLines(body);
  if (texts.length === 0 || texts.length > EVENTS_MAX) {
    throw new AppError(
      "invalid_argument",
      "batch_size",
      `A batch holds 1 to ${EVENTS_MAX} events.`,
      {
        faults: [{ pointer: "", detail: `must have 1 to ${EVENTS_MAX} items` }],
        http: 422,
      },
    );
  }
  const items: Item[] = [];
  let sliceEndsMs = performance.now() + SLICE_MS;
  for (const text of texts) {
    const item = judge(text);
    // An array that holds what is no JSON is no JSON itself; a line stands alone.
    if (isList && "problem" in item && item.problem.status === 400) throw item.error;
    items.push(item);
    if (performance.now() < sliceEndsMs) continue;
    await nextTurn();
    sliceEndsMs = performance.now() + SLICE_MS;
  }
  return items;
}

function splitLines(body: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < body.length && lines.length <= EVENTS_MAX; ) {
    const newline = body.indexOf(NEWLINE, start);
    const end = newline < 0 ? body.length : newline;
    const line = body.subarray(start, end);
    if (!isBlank(line)) lines.push(line);
    start = end + 1;
  }
  return lines;
}

function judge(text: Buffer): Item {
  try {
    return { event: parseEvent(text) };
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    const problem = toProblem(thrown);
    const errors = problem.errors?.slice(0, FAULTS_MAX);
    return { problem: errors ? { ...problem, errors } : problem, error: thrown };
  }
}

/** Whether the first character that counts opens an array. */
function isArray(body: Buffer): boolean {
  let at = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  while (isBlankByte(body[at])) at++;
  return body[at] === BRACKET;
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (!isBlankByte(byte)) return false;
  return true;
}

function isBlankByte(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
