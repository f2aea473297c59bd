/** Incoming hooks of every dialect: /incoming-hooks. */
import { HookState } from "@headgate/proto/registry/v1/registry";
import { Type } from "typebox";
import { created, createdSpec } from "./created.ts";
import type { ApiDeps } from "./deps.ts";
import { closed, Id, nullable, pageOf } from "./forms.ts";
import {
  Description,
  Dialect,
  HookDraft,
  HookForm,
  Limits,
  Name,
  NewHookForm,
  OverrideIcon,
  OverrideName,
  readAction,
  readTarget,
  readTargetOf,
  renderHook,
  renderNewHook,
  Target,
} from "./hook-form.ts";
import { need } from "./need.ts";
import { isShort, nameQuery, pageQuery, renderPage, toPage } from "./page.ts";
import { type AnyRoute, route } from "./route.ts";

const tag = "incoming hooks";
const params = { hook_id: "hook" };
/** Seconds that a rotated credential works on unless the caller says otherwise: time to change it in the sender. */
const GRACE_SECONDS = 3_600;

/** The routes of incoming hooks. */
export function createHookRoutes({
  management,
  hookUrl,
}: Pick<ApiDeps, "management" | "hookUrl">): AnyRoute[] {
  return [
    route({
      method: "get",
      path: "/incoming-hooks",
      operationId: "listIncomingHooks",
      summary: "The caller's own hooks; in teams that the caller administers, everybody's.",
      tag,
      query: closed({
        ...pageQuery,
        ...nameQuery,
        team_id: Type.Optional(Id),
        dialect: Type.Optional(Dialect),
        target_id: Type.Optional(Id),
      }),
      responses: { 200: { description: "A page of them.", schema: pageOf(HookForm) } },
      problems: [404],
      async handler({ actor, query }) {
        const { hooks } = await management.listIncomingHooks({
          actor,
          page: toPage(query),
          teamId: query.team_id ?? "",
          name: query.name ?? "",
          dialect: query.dialect ?? "",
          targetId: query.target_id ?? "",
        });
        const isLast = isShort(query, hooks);
        return {
          status: 200,
          body: renderPage(query, hooks, { render: renderHook, isLast }),
        };
      },
    }),
    route({
      method: "post",
      path: "/incoming-hooks",
      operationId: "createIncomingHook",
      summary: "Makes a hook. The answer holds its url and token, this once.",
      tag,
      body: HookDraft,
      responses: { 201: createdSpec("hook", "The hook, with its url and token.", NewHookForm) },
      problems: [403, 409],
      async handler({ actor, body, newId }) {
        const { hook, credential, existed } = await management.createIncomingHook({
          actor,
          id: newId,
          dialect: body.dialect,
          action: readAction(body.action),
          targetId: readTarget(body.action, body.target),
          name: body.name ?? "",
          description: body.description ?? "",
          ownerId: body.owner_id ?? "",
          botId: body.bot_id ?? "",
          ownerWrites: body.owner_writes ?? false,
          overrideName: body.override_name ?? "",
          overrideIconUrl: body.override_icon_url ?? "",
          targetLocked: body.target_locked ?? false,
          ...(body.limits && {
            limits: { perMinute: body.limits.per_minute, burst: body.limits.burst },
          }),
        });
        const made = need(hook);
        const form = renderNewHook(made, hookUrl(made.dialect, credential), credential);
        return created(`/incoming-hooks/${made.id}`, form, existed);
      },
    }),
    route({
      method: "get",
      path: "/incoming-hooks/{hook_id}",
      operationId: "getIncomingHook",
      summary: "One hook, without its credential.",
      tag,
      params,
      responses: { 200: { description: "The hook.", schema: HookForm } },
      async handler({ actor, params: { hook_id: id = "" } }) {
        const { hook } = await management.getIncomingHook({ actor, id });
        return { status: 200, body: renderHook(need(hook)) };
      },
    }),
    route({
      method: "patch",
      path: "/incoming-hooks/{hook_id}",
      operationId: "updateIncomingHook",
      summary:
        "Changes what is given. limits null: the dialect's own again. owner_id: by admins of the team; the bot that was made for the hook goes to the new owner too, the state stays.",
      tag,
      params,
      body: closed({
        target: Type.Optional(Target),
        name: Type.Optional(Name),
        description: Type.Optional(Description),
        owner_id: Type.Optional(Id),
        bot_id: Type.Optional(nullable(Id)),
        override_name: Type.Optional(OverrideName),
        override_icon_url: Type.Optional(OverrideIcon),
        target_locked: Type.Optional(Type.Boolean()),
        limits: Type.Optional(nullable(Limits)),
      }),
      responses: { 200: { description: "The hook.", schema: HookForm } },
      problems: [403, 409],
      async handler({ actor, body, params: { hook_id: id = "" } }) {
        const before = need((await management.getIncomingHook({ actor, id })).hook);
        const { hook } = await management.updateIncomingHook({
          actor,
          id,
          targetId: body.target && readTargetOf(before, body.target),
          name: body.name,
          description: body.description,
          ownerId: body.owner_id,
          botId: body.bot_id === null ? "" : body.bot_id,
          overrideName: body.override_name,
          overrideIconUrl: body.override_icon_url,
          targetLocked: body.target_locked,
          clearLimits: body.limits === null,
          ...(body.limits && {
            limits: { perMinute: body.limits.per_minute, burst: body.limits.burst },
          }),
        });
        return { status: 200, body: renderHook(need(hook)) };
      },
    }),
    route({
      method: "delete",
      path: "/incoming-hooks/{hook_id}",
      operationId: "deleteIncomingHook",
      summary: "Removes the hook for good.",
      tag,
      params,
      responses: { 204: { description: "Done." } },
      problems: [403],
      async handler({ actor, params: { hook_id: id = "" } }) {
        await management.deleteIncomingHook({ actor, id });
        return { status: 204 };
      },
    }),
    route({
      method: "post",
      path: "/incoming-hooks/{hook_id}/rotate",
      operationId: "rotateIncomingHook",
      summary: "Gives a new credential, shown this once; the old one works on for the grace.",
      tag,
      params,
      body: closed({
        grace_seconds: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: 86_400,
            default: GRACE_SECONDS,
            description: "How long the old credential works on. 0: it stops at once.",
          }),
        ),
      }),
      responses: {
        200: { description: "The hook, with its new url and token.", schema: NewHookForm },
      },
      problems: [403, 409],
      async handler({ actor, body, isReplay, params: { hook_id: id = "" } }) {
        if (isReplay) {
          const { hook } = await management.getIncomingHook({ actor, id });
          return { status: 200, body: renderNewHook(need(hook), "", "") };
        }
        const { hook, credential } = await management.rotateIncomingHook({
          actor,
          id,
          graceSeconds: body.grace_seconds ?? GRACE_SECONDS,
        });
        const rotated = need(hook);
        const url = hookUrl(rotated.dialect, credential);
        return { status: 200, body: renderNewHook(rotated, url, credential) };
      },
    }),
    stateRoute(
      "enable",
      HookState.ACTIVE,
      "Takes events again. 409 while the owner or the bot of the hook may not have it.",
    ),
    stateRoute("disable", HookState.DISABLED, "Refuses events until it is enabled."),
  ];

  function stateRoute(verb: "enable" | "disable", state: HookState, summary: string): AnyRoute {
    return route({
      method: "post",
      path: `/incoming-hooks/{hook_id}/${verb}`,
      operationId: `${verb}IncomingHook`,
      summary,
      tag,
      params,
      responses: { 200: { description: "The hook.", schema: HookForm } },
      problems: [403, 409],
      async handler({ actor, params: { hook_id: id = "" } }) {
        const { hook } = await management.setIncomingHookState({ actor, id, state });
        return { status: 200, body: renderHook(need(hook)) };
      },
    });
  }
}
