/** `POST /hooks/{id}`: a delivery, in Mattermost's order of checks. */
import type { AppError } from "@headgate/kit/errors";
import { HookDisabledReason, HookState } from "@headgate/proto/registry/v1/registry";
import type { Gate, Hook, HookReply, HookRequest, HookRoute } from "../../dialect.ts";
import { type Keyed, once } from "../../ingest/idempotency.ts";
import { hookBudgets } from "../../ingest/rate-limit.ts";
import { findHook, readKeyed, refuseWithoutHook } from "./admission.ts";
import { decodePayload } from "./decode.ts";
import { COMMON_HEADERS, refusal } from "./errors.ts";
import { requestIdOf, uuidOfId } from "./id.ts";
import { checkPost, hasContent, type Overrides, toEvents } from "./map.ts";
import type { Payload } from "./schema.ts";
import { findRoot, findTarget } from "./target.ts";

/** The operator's switches, as Mattermost has them. */
export type Switches = Overrides & {
  readonly incomingWebhooks: boolean;
  /** Bytes of a delivery; 300,512 unless told. */
  readonly bodyBytesMax?: number;
};

/** Bytes of a delivery. Mattermost: 300,000 and 512 of slack. */
const BODY_BYTES_MAX = 300_512;
/** What is kept under a key: the answer is always the same. */
const KEPT = Buffer.from("ok");
/** Characters of the address as sent. */
const URL_MAX = 2_048;

// A site may live below a path of its own: "/chat/hooks/...". The management API's hooks are no such site.
const DELIVERY = /^(?!\/api\/)(?:\/.*)?\/hooks\/([A-Za-z0-9]+)$/;
const BELOW_HOOKS = /^\/hooks(?:\/|$)/;

/** The routes below /hooks/: the delivery, and a JSON 404 for the rest, late slash-command replies among them. */
export function createRoutes(gate: Gate, switches: Switches): readonly HookRoute[] {
  const bodyBytesMax = switches.bodyBytesMax ?? BODY_BYTES_MAX;
  return [
    { template: "/hooks/{id}", match: matchDelivery, handle: deliver },
    { template: "/hooks/*", match: matchOther, handle: refuseRoute },
  ];

  async function deliver(request: HookRequest): Promise<HookReply> {
    const id = request.params.id ?? "";
    if (request.query.length + id.length > URL_MAX) throw refusal("url_too_long");
    if (request.method !== "POST") throw refusal("method_not_allowed");
    if (!switches.incomingWebhooks) {
      return refuseWithoutHook(request, bodyBytesMax, "feature_disabled");
    }
    // Looked up before the body is read, though what is wrong with the payload is answered first.
    const hook = await findHook(gate, request);
    if (!hook) return refuseWithoutHook(request, bodyBytesMax, "hook_unknown");
    request.assignTo(hook.record.id);
    const body = await request.readBody(bodyBytesMax);
    const payload = await decodePayload(body, request.headers["content-type"], request.query);
    if (!hasContent(payload)) throw refusal("text_missing");
    if (hook.record.state === HookState.DISABLED) throw await refusalOfDisabled(hook, payload);
    const keyed = readKeyed(request, hook, body);
    const admission = await gate.admit(hookBudgets(hook), keyed?.claim);
    const { decision, retryAfterMs } = admission;
    if (decision === "limited") throw refusal("limited", { retryAfterMs });
    return once(gate, keyed, admission, {
      async work() {
        await publish(hook, payload, request.traceId, keyed);
        gate.touchHook(hook.record.id);
        return { reply: success(request), kept: KEPT };
      },
      replay: () => success(request),
    });
  }

  /** What the registry disabled because its owner may no longer write is answered with that, as long as it holds. */
  async function refusalOfDisabled(hook: Hook, payload: Payload): Promise<AppError> {
    if (hook.record.disabledReason !== HookDisabledReason.UNSPECIFIED) {
      await findTarget(gate, hook, payload.channel);
    }
    return refusal("hook_disabled");
  }

  /** Resolves when the log has every post of the payload. */
  async function publish(
    hook: Hook,
    payload: Payload,
    traceId: string,
    keyed: Keyed | undefined,
  ): Promise<void> {
    const channel = await findTarget(gate, hook, payload.channel);
    checkPost(payload);
    const rootId = await findRoot(gate, payload.rootId, channel.id);
    const idOf = keyed?.idOf ?? (() => gate.createId());
    const stamp = { channelId: channel.id, rootId, acceptedAt: gate.now(), traceId, idOf };
    await gate.accept(toEvents(payload, hook, switches, stamp, nameOf));
  }

  function nameOf(id: string): string | undefined {
    const uuid = uuidOfId(id);
    return uuid === undefined ? undefined : gate.directory.user(uuid)?.name;
  }
}

/** Two bytes of plain text: Alertmanager takes anything else for a failure. */
function success(request: HookRequest): HookReply {
  return {
    status: 200,
    headers: {
      ...COMMON_HEADERS,
      "Content-Type": "text/plain",
      "X-Request-Id": requestIdOf(request.traceId),
    },
    body: "ok",
  };
}

async function refuseRoute(): Promise<HookReply> {
  throw refusal("route_unknown");
}

function matchDelivery(path: string): Record<string, string> | undefined {
  const id = DELIVERY.exec(path)?.[1];
  return id === undefined ? undefined : { id };
}

function matchOther(path: string): Record<string, string> | undefined {
  return BELOW_HOOKS.test(path) ? {} : undefined;
}
