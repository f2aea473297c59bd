/** What a live reader may see, kept up to date while the reader stays. */
import { AppError } from "@headgate/kit/errors";
import { type Caller, resolve } from "./caller.ts";
import type { ApiDeps, RegistryRecord } from "./deps.ts";

/** Channels of one page when all of a reader's are listed, and pages at most. */
const PAGE = 200;
const PAGES_MAX = 50;

/** What a reader asked for: these channels, or all that the reader may read. */
export type Wanted = ReadonlySet<string> | undefined;

/** What a change of the registry means to a reader. */
export type Concern = "none" | "wider" | "narrower";

/**
 * The channels a reader may see now.
 * @throws AppError unauthenticated when the token is no longer good; not_found when a wanted channel is not (any more) to be
 * read; unavailable
 */
export async function readRights(
  { registry, management }: Pick<ApiDeps, "registry" | "management">,
  caller: Caller,
  wanted: Wanted,
): Promise<ReadonlySet<string>> {
  await resolve(registry, caller.digest);
  const actor = { userId: caller.user.id, traceId: "" };
  if (wanted) {
    await Promise.all([...wanted].map((id) => management.getChannel({ actor, id })));
    return wanted;
  }
  const allowed = new Set<string>();
  let after = 0n;
  for (let page = 0; page < PAGES_MAX; page++) {
    const asked = { actor, page: { limit: PAGE, bound: { case: "after" as const, value: after } } };
    const { channels } = await management.listChannels(asked);
    for (const { id } of channels) allowed.add(id);
    after = channels.at(-1)?.position ?? 0n;
    if (channels.length < PAGE) return allowed;
  }
  const message = "There are too many channels: name those that are wanted.";
  throw new AppError("failed_precondition", "channels_too_many", message);
}

/** Whether a change may take something from a reader (nothing goes out before that is looked at), or give something. */
export function concernOf(
  { key, value }: RegistryRecord,
  { user }: Caller,
  allowed: ReadonlySet<string>,
): Concern {
  const [kind = "", id = "", memberId] = key.split(":");
  switch (kind) {
    case "user":
      return id === user.id ? "narrower" : "none";
    case "team_member":
      return memberId === user.id ? "narrower" : "none";
    case "channel_member":
      return memberId === user.id ? (value === null ? "narrower" : "wider") : "none";
    case "channel":
      return allowed.has(id) ? "narrower" : "wider";
    case "token":
      return value?.subject.case === "revokedToken" && value.subject.value.userId === user.id
        ? "narrower"
        : "none";
    default:
      return "none";
  }
}
