/** An incoming hook as the API writes and reads it. */
import { AppError } from "@headgate/kit/errors";
import {
  HookAction,
  HookDisabledReason,
  HookState,
  type IncomingHook,
} from "@headgate/proto/registry/v1/registry";
import { type Static, Type } from "typebox";
import { closed, Id, nullable, numberOrNull, Time, text, textOrNull, timeOrNull } from "./forms.ts";
import { named } from "./named.ts";
import { bodyInvalid } from "./validate.ts";

const ACTIONS = {
  chat_message: HookAction.CHAT_MESSAGE,
  direct_message: HookAction.DIRECT_MESSAGE,
  wall_post: HookAction.WALL_POST,
  calendar_entry: HookAction.CALENDAR_ENTRY,
} as const;
const STATES = {
  active: HookState.ACTIVE,
  disabled: HookState.DISABLED,
  revoked: HookState.REVOKED,
} as const;

const DISABLED_REASONS = {
  owner_deactivated: HookDisabledReason.OWNER_DEACTIVATED,
  owner_left: HookDisabledReason.OWNER_LEFT,
  owner_role: HookDisabledReason.OWNER_ROLE,
  bot_deactivated: HookDisabledReason.BOT_DEACTIVATED,
  bot_left: HookDisabledReason.BOT_LEFT,
} as const;

/** What a hook does with an event. */
export const Action = named(
  "HookAction",
  Type.Unsafe<ActionName>({ type: "string", enum: Object.keys(ACTIONS) }),
);
type ActionName = keyof typeof ACTIONS;

/** The member of a target that each action needs. */
const TARGETS = {
  chat_message: "channel_id",
  direct_message: "user_id",
  wall_post: "wall_id",
  calendar_entry: "calendar_id",
} as const satisfies Record<ActionName, string>;

/** Where it goes, for a change: exactly the member that the hook's action needs. There are no walls and calendars yet. */
export const Target = named(
  "HookTargetChange",
  Type.Object(
    { channel_id: Type.Optional(Id), user_id: Type.Optional(Id) },
    { additionalProperties: false, minProperties: 1, maxProperties: 1 },
  ),
);
type TargetBody = Partial<Record<(typeof TARGETS)[ActionName], string>>;

/** How much a hook may take. */
export const Limits = named(
  "HookLimits",
  closed({
    per_minute: Type.Integer({ minimum: 1, maximum: 6_000_000 }),
    burst: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  }),
);

/** Actions that a service takes; the registry refuses the others too. */
const SERVED = ["chat_message"] as const satisfies ActionName[];
type ServedAction = (typeof SERVED)[number];

/** Dialects that hooks can be made for. */
const DIALECTS = ["headgate", "monotree", "mattermost"] as const;

/** Name of a dialect. */
export const Dialect = Type.Unsafe<(typeof DIALECTS)[number]>({ type: "string", enum: DIALECTS });

/** Texts of a hook, as the registry bounds them. */
export const Name = text({ maxLength: 255 });
export const Description = text({ maxLength: 500 });
export const OverrideName = text({ maxLength: 64 });
export const OverrideIcon = text({ maxLength: 1024 });

const draft = {
  description: Type.Optional(Description),
  owner_id: Type.Optional(Id),
  bot_id: Type.Optional(nullable(Id)),
  override_name: Type.Optional(OverrideName),
  override_icon_url: Type.Optional(OverrideIcon),
  target_locked: Type.Optional(Type.Boolean()),
  limits: Type.Optional(nullable(Limits)),
};
const FullName = text({ minLength: 1, maxLength: 255 });

const Draft = {
  ...closed({
    action: Type.Unsafe<ServedAction>({
      type: "string",
      enum: SERVED,
      description: "What becomes of an event. Only actions that a service takes can be chosen.",
    }),
    target: closed({ channel_id: Id }),
    dialect: Dialect,
    name: Type.Optional(Name),
    owner_writes: Type.Optional(Type.Boolean()),
    ...draft,
  }),
  allOf: [
    // Only Mattermost knows hooks without a name.
    {
      if: Type.Object({ dialect: Type.Literal("mattermost") }),
      else: Type.Object({ name: FullName }),
    },
    {
      if: Type.Object({ owner_writes: Type.Literal(true) }),
      // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
      then: Type.Object({ bot_id: Type.Optional(Type.Null()) }),
    },
  ],
};

/** A new hook. An action that gets a service becomes a schema of its own, told apart by `action`. */
export const HookDraft = Type.Unsafe<Static<typeof Draft>>(Draft);

const members = {
  id: Id,
  number: nullable(Type.Integer()),
  team_id: Id,
  dialect: Type.String(),
  action: nullable(Action),
  target: Type.Object({
    channel_id: nullable(Id),
    user_id: nullable(Id),
    wall_id: nullable(Id),
    calendar_id: nullable(Id),
  }),
  name: nullable(Type.String()),
  description: nullable(Type.String()),
  owner_id: Id,
  bot_id: nullable(Id),
  override_name: nullable(Type.String()),
  override_icon_url: nullable(Type.String()),
  target_locked: Type.Boolean(),
  limits: nullable(Limits),
  state: nullable(
    named("HookState", Type.Unsafe<string>({ type: "string", enum: Object.keys(STATES) })),
  ),
  disabled_reason: nullable(
    named(
      "HookDisabledReason",
      Type.Unsafe<string>({
        type: "string",
        enum: Object.keys(DISABLED_REASONS),
        description:
          "Why the server disabled the hook: its owner or its bot lost what the hook needs. null: not disabled, or by hand.",
      }),
    ),
  ),
  hint: nullable(Type.String({ description: "The last characters of the credential." })),
  created_at: nullable(Time),
  updated_at: nullable(Time),
  last_used_at: nullable(Time),
};

/** A hook; its credential is not in it. */
export const HookForm = named("IncomingHook", Type.Object(members));

/** A hook with its credential, which is shown once. */
export const NewHookForm = named(
  "NewIncomingHook",
  Type.Object({
    ...members,
    url: nullable(Type.String({ description: "Where senders post to; null on a replay." })),
    token: nullable(
      Type.String({ description: "The credential within the url; null on a replay." }),
    ),
  }),
);

/** Renders a hook. */
export function renderHook(hook: IncomingHook) {
  const action = nameOf(ACTIONS, hook.action);
  const target = { channel_id: null, user_id: null, wall_id: null, calendar_id: null };
  return {
    id: hook.id,
    number: numberOrNull(hook.number),
    team_id: hook.teamId,
    dialect: hook.dialect,
    action,
    target: action === null ? target : { ...target, [TARGETS[action]]: hook.targetId },
    name: textOrNull(hook.name),
    description: textOrNull(hook.description),
    owner_id: hook.ownerId,
    bot_id: textOrNull(hook.botId),
    override_name: textOrNull(hook.overrideName),
    override_icon_url: textOrNull(hook.overrideIconUrl),
    target_locked: hook.targetLocked,
    limits: hook.limits ? { per_minute: hook.limits.perMinute, burst: hook.limits.burst } : null,
    state: nameOf(STATES, hook.state),
    disabled_reason: nameOf(DISABLED_REASONS, hook.disabledReason),
    hint: textOrNull(hook.hint),
    created_at: timeOrNull(hook.createdAt),
    updated_at: timeOrNull(hook.updatedAt),
    last_used_at: timeOrNull(hook.lastUsedAt),
  };
}

/** Renders a hook with its credential, once; nulls where the credential is not told again. */
export function renderNewHook(hook: IncomingHook, url: string, credential: string) {
  return {
    ...renderHook(hook),
    url: credential === "" ? null : url,
    token: textOrNull(credential),
  };
}

/** The canonical action of a name. */
export function readAction(name: ActionName): HookAction {
  return ACTIONS[name];
}

/**
 * The id in a target, which must be of the member that the action needs.
 * @throws AppError `body_invalid`
 */
export function readTarget(action: ActionName, target: TargetBody): string {
  const member = TARGETS[action];
  const id = target[member];
  if (id !== undefined) return id;
  throw bodyInvalid([{ pointer: "/target", detail: `must hold ${member} for ${action}` }]);
}

/** The same for a hook that is there. */
export function readTargetOf(hook: IncomingHook, target: TargetBody): string {
  const action = nameOf(ACTIONS, hook.action);
  if (action !== null) return readTarget(action, target);
  throw new AppError("failed_precondition", "hook_action_unknown", "The hook has no action.");
}

function nameOf<Names extends Readonly<Record<string, number>>>(
  names: Names,
  value: number,
): (keyof Names & string) | null {
  return Object.keys(names).find((name) => names[name] === value) ?? null;
}
