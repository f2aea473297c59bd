/** For tests of dialects: what the fake gates have in common, and a sender that answers as the front door would. */
import { AppError } from "@headgate/kit/errors";
import { TeamRole } from "@headgate/proto/registry/v1/registry";
import type { Dialect, Directory, Gate, Hook, HookReply, HookRequest } from "../dialect.ts";
import { createAuthenticate } from "../ingest/authenticate.ts";

/** A registry cache that holds nothing, and in which each user is a member of each team. */
export const emptyDirectory: Directory = {
  team: () => undefined,
  teamByHost: () => undefined,
  teamRole: () => TeamRole.MEMBER,
  channel: () => undefined,
  channelByName: () => undefined,
  user: () => undefined,
  userByName: () => undefined,
  isChannelMember: () => false,
};

/** How a gate finds hooks: `find` stands for the registry cache, `ask` for the registry. */
export function fakeAuthentication({
  find,
  ask = async () => undefined,
  admit,
  peek,
}: {
  find: (dialect: string, credential: string) => Hook | undefined;
  ask?: (dialect: string, credential: string) => Promise<Hook | undefined>;
} & Pick<Gate, "admit" | "peek">): Gate["authenticate"] {
  const known = (dialect: string, credential: string) => find(dialect, credential) ?? "undecided";
  return createAuthenticate({ lookup: { known, ask }, rateLimit: { admit, peek } });
}

/** What a test sends. */
export type Sent = Partial<Omit<HookRequest, "params" | "readBody" | "assignTo">> & {
  path: string;
  body: Uint8Array;
};

/** Sends a request through a dialect's routes. `read` gets the bytes of each body that is read, `assigned` each hook. */
export async function sendThrough(
  dialect: Dialect,
  gate: Gate,
  { path, body, ...head }: Sent,
  { read, assigned }: { read?: number[]; assigned?: string[] } = {},
): Promise<HookReply> {
  for (const route of dialect.hooks(gate)) {
    const params = route.match(path);
    if (!params) continue;
    const request: HookRequest = {
      method: "POST",
      query: "",
      headers: {},
      source: "192.0.2.1",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      ...head,
      params,
      assignTo: (hookId) => assigned?.push(hookId),
      readBody: async (bytesMax) => {
        read?.push(body.byteLength);
        if (body.byteLength <= bytesMax) return Buffer.from(body);
        throw new AppError("invalid_argument", "body_too_large", "Too large.", { http: 413 });
      },
    };
    try {
      return await route.handle(request);
    } catch (thrown) {
      return dialect.renderError(AppError.from(thrown), request.traceId);
    }
  }
  throw new Error(`no route for ${path}`);
}
