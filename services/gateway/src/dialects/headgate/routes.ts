/** Paths of the native hook: /in/{token} and /in/{token}/batch; the rest below /in is not there. */
import { AppError } from "@headgate/kit/errors";
import type { Gate, HookReply, HookRequest, HookRoute } from "../../dialect.ts";
import { acceptMany } from "./batch.ts";
import { renderError } from "./errors.ts";
import { acceptOne } from "./single.ts";

const PREFIX = "/in/";
const BATCH = "/batch";

/** The path of a token. */
export function hookPath(token: string): string {
  return PREFIX + token;
}

/** The routes, most used first. */
export function createRoutes(gate: Gate): readonly HookRoute[] {
  return [
    {
      template: "/in/{token}",
      match: (path) =>
        path.startsWith(PREFIX) && path.length > PREFIX.length && !path.includes("/", PREFIX.length)
          ? { token: path.slice(PREFIX.length) }
          : undefined,
      handle: onlyPost((request) => acceptOne(gate, request)),
    },
    {
      template: "/in/{token}/batch",
      match: (path) =>
        path.startsWith(PREFIX) &&
        path.endsWith(BATCH) &&
        path.indexOf("/", PREFIX.length) === path.length - BATCH.length
          ? { token: path.slice(PREFIX.length, -BATCH.length) }
          : undefined,
      handle: onlyPost((request) => acceptMany(gate, request)),
    },
    {
      template: "/in/{unknown}",
      match: (path) => (path === "/in" || path.startsWith(PREFIX) ? {} : undefined),
      handle: () =>
        Promise.reject(new AppError("not_found", "path_unknown", "There is nothing here.")),
    },
  ];
}

function onlyPost(answer: (request: HookRequest) => Promise<HookReply>): HookRoute["handle"] {
  return (request) => {
    if (request.method === "POST") return answer(request);
    const reply = renderError(
      new AppError("unimplemented", "method_not_allowed", "Only POST is taken here.", {
        http: 405,
      }),
    );
    return Promise.resolve({ ...reply, headers: { ...reply.headers, Allow: "POST" } });
  };
}
