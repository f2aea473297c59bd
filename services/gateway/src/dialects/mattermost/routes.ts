/** `POST /hooks/{id}`: a delivery, in Mattermost's order of checks. */
import type { Claim, Gate, Hook, HookReply, HookRequest, HookRoute } from "../../dialect.ts";
import { admit, findLiveHook, keyedIds, readClaim } from "./admission.ts";
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
    const body = await request.readBody(bodyBytesMax);
    const payload = await decodePayload(body, request.headers["content-type"], request.query);
    if (!switches.incomingWebhooks) throw refusal("feature_disabled");
    if (!hasContent(payload)) throw refusal("text_missing");
    const hook = await findLiveHook(gate, id);
    const claim = readClaim(request, hook, body);
    if ((await admit(gate, hook, claim)) === "replay") {
      return success(request, { "Idempotency-Replayed": "true" });
    }
    try {
      await publish(hook, payload, request.traceId, claim);
    } catch (thrown) {
      await settle(claim, undefined);
      throw thrown;
    }
    gate.touchHook(hook.record.id);
    await settle(claim, Buffer.from("ok"));
    return success(request);
  }

  /** Resolves when the log has every post of the payload. */
  async function publish(
    hook: Hook,
    payload: Payload,
    traceId: string,
    claim: Claim | undefined,
  ): Promise<void> {
    const channel = await findTarget(gate, hook, payload.channel);
    checkPost(payload);
    const rootId = await findRoot(gate, payload.rootId, channel.id);
    const idOf = claim ? keyedIds(claim) : () => gate.createId();
    const stamp = { channelId: channel.id, rootId, acceptedAt: gate.now(), traceId, idOf };
    await gate.accept(toEvents(payload, hook, switches, stamp, nameOf));
  }

  /** The posts' ids are the key's, so a memory that fails costs a polite answer and nothing more. */
  async function settle(claim: Claim | undefined, kept: Uint8Array | undefined): Promise<void> {
    if (claim) await gate.settle(claim, kept).catch(() => undefined);
  }

  function nameOf(id: string): string | undefined {
    const uuid = uuidOfId(id);
    return uuid === undefined ? undefined : gate.directory.user(uuid)?.name;
  }
}

/** Two bytes of plain text: Alertmanager takes anything else for a failure. */
function success(request: HookRequest, headers: Record<string, string> = {}): HookReply {
  return {
    status: 200,
    headers: {
      ...COMMON_HEADERS,
      "Content-Type": "text/plain",
      "X-Request-Id": requestIdOf(request.traceId),
      ...headers,
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
