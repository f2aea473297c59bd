/**
 * Faults of a delivery in Mattermost's words: status, id, JSON body, headers. The specific ids are told, not the wrapper
 * `web.incoming_webhook.general.app_error` of current servers: no client branches on them, and people need them.
 */
import { AppError, type Code } from "@headgate/kit/errors";
import { createRandomId, parseUuid } from "@headgate/kit/ids";
import type { HookReply } from "../../dialect.ts";
import { UnsureError } from "../../ingest/publish.ts";
import { formatId, requestIdOf } from "./id.ts";

type Row = {
  readonly code: Code;
  readonly http: number;
  readonly id: string;
  readonly message: string;
};

/** Every refusal of the dialect by its reason, in the order of the checks. */
const REFUSALS = {
  url_too_long: row(
    "invalid_argument",
    414,
    "basic_security_check.url.too_long_error",
    "The address is longer than 2,048 characters.",
  ),
  body_too_large: row(
    "invalid_argument",
    413,
    "api.context.request_body_too_large.app_error",
    "The body is too large.",
  ),
  route_unknown: row(
    "not_found",
    404,
    "api.context.404.app_error",
    "There is nothing at this address.",
  ),
  method_not_allowed: row(
    "unimplemented",
    405,
    "api.context.405.app_error",
    "A webhook takes POST only.",
  ),
  media_type: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.media_type.app_error",
    "The Content-Type cannot be read.",
  ),
  form_malformed: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.parse_form.app_error",
    "A form body needs a field payload that holds the JSON.",
  ),
  multipart_malformed: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.parse_multipart.app_error",
    "The multipart body cannot be read.",
  ),
  payload_malformed: row(
    "invalid_argument",
    400,
    "model.incoming_hook.parse_data.app_error",
    "The payload cannot be read.",
  ),
  feature_disabled: row(
    "unimplemented",
    501,
    "web.incoming_webhook.disabled.app_error",
    "Incoming webhooks are switched off.",
  ),
  hook_disabled: row(
    "unimplemented",
    501,
    "web.incoming_webhook.disabled.app_error",
    "This webhook is switched off.",
  ),
  text_missing: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.text.app_error",
    "There is neither text nor an attachment.",
  ),
  hook_unknown: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.invalid.app_error",
    "There is no such webhook.",
  ),
  direct_target: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.user.app_error",
    "This webhook does not write to people: @name cannot be its channel.",
  ),
  channel_unknown: row(
    "not_found",
    404,
    "web.incoming_webhook.channel.app_error",
    "There is no channel of this name.",
  ),
  channel_gone: row(
    "not_found",
    404,
    "app.channel.get.existing.app_error",
    "The channel of this webhook is gone.",
  ),
  channel_locked: row(
    "permission_denied",
    403,
    "web.incoming_webhook.channel_locked.app_error",
    "This webhook may write into its own channel only.",
  ),
  owner_gone: row(
    "permission_denied",
    403,
    "web.incoming_webhook.user.app_error",
    "The account that this webhook writes as is gone.",
  ),
  channel_forbidden: row(
    "permission_denied",
    403,
    "web.incoming_webhook.permissions.app_error",
    "The owner of this webhook cannot read the channel.",
  ),
  kind_invalid: row(
    "invalid_argument",
    400,
    "api.context.invalid_param.app_error",
    "The type is not one that a webhook may give: custom_… is.",
  ),
  priority_invalid: row(
    "invalid_argument",
    400,
    "api.context.invalid_param.app_error",
    'The priority needs a member priority: "", important or urgent.',
  ),
  root_invalid: row(
    "invalid_argument",
    400,
    "api.context.invalid_param.app_error",
    "The root_id is not the id of a root message of the channel.",
  ),
  props_too_large: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.split_props_length.app_error",
    "The props or an attachment are too large.",
  ),
  event_too_large: row(
    "invalid_argument",
    400,
    "web.incoming_webhook.split_props_length.app_error",
    "The props or an attachment are too large to be stored.",
  ),
  limited: row(
    "resource_exhausted",
    429,
    "api.context.rate_limit.app_error",
    "Too many messages. Try again later.",
  ),
  hook_limited: row(
    "resource_exhausted",
    429,
    "api.context.rate_limit.app_error",
    "Too many messages. Try again later.",
  ),
  key_invalid: row(
    "invalid_argument",
    400,
    "api.context.invalid_param.app_error",
    "The Idempotency-Key must have 1 to 255 characters.",
  ),
  idempotency_key_reused: row(
    "failed_precondition",
    422,
    "web.incoming_webhook.idempotency_conflict.app_error",
    "This Idempotency-Key was used for another body.",
  ),
  idempotency_in_progress: row(
    "aborted",
    409,
    "web.incoming_webhook.idempotency_in_progress.app_error",
    "The first request with this Idempotency-Key is not answered yet.",
  ),
} as const satisfies Record<string, Row>;

/** Why a delivery is refused: stable, for metrics and tests. */
export type Refusal = keyof typeof REFUSALS;

/** Ids of faults that the doors below report, by HTTP status. */
const IDS_BY_STATUS: Readonly<Record<number, string>> = {
  404: "api.context.404.app_error",
};
const ID_OTHERWISE = "web.incoming_webhook.general.app_error";

/** Headers of every answer below /hooks/. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Permissions-Policy": "",
};

/** The error of a refusal. `detail` takes the place of the general words; it never quotes the payload's values. */
export function refusal(
  reason: Refusal,
  options: { detail?: string | undefined; retryAfterMs?: number } = {},
): AppError {
  const { code, http, message } = REFUSALS[reason];
  const details = options.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs };
  return new AppError(code, reason, options.detail ?? message, { ...details, http });
}

/** Any failure as the JSON body of Mattermost; X-Request-Id and request_id are the trace's 26 characters. */
export function renderError(error: AppError, traceId?: string): HookReply {
  const known = REFUSALS[error.reason as Refusal] as Row | undefined; // any reason may come; most are not ours
  const status = known?.http ?? error.httpStatus;
  // Without a request there is no trace to name; the id still has the form that clients expect.
  const requestId =
    traceId === undefined ? formatId(parseUuid(createRandomId())) : requestIdOf(traceId);
  const headers: Record<string, string> = {
    ...COMMON_HEADERS,
    // Exactly this: clients compare the whole value, and a charset makes them read a plain string.
    "Content-Type": "application/json",
    "X-Request-Id": requestId,
  };
  if (status === 405) headers.Allow = "POST";
  if (status === 429 || status === 503 || error.retryAfterMs !== undefined) {
    headers["Retry-After"] = String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000)));
  }
  if (error instanceof UnsureError) headers["X-Headgate-Event-Id"] = error.eventIds.join(", ");
  const body = {
    id: known?.id ?? IDS_BY_STATUS[status] ?? ID_OTHERWISE,
    message: error.message,
    detailed_error: "", // blank outside developer mode
    request_id: requestId,
    status_code: status,
  };
  return { status, headers, body: JSON.stringify(body) };
}

function row(code: Code, http: number, id: string, message: string): Row {
  return { code, http, id, message };
}
