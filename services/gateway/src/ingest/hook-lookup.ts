/** Finds the hook of a credential: in the registry cache, else by asking the registry, each digest once at a time. */
import { hash } from "node:crypto";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import type { ResolveHookResponse } from "@headgate/proto/registry/v1/registry";
import type { Hook } from "../dialect.ts";
import { type DirectoryCopy, digestText } from "../directory.ts";

/** What the look-up needs. */
type Deps = {
  directory: Pick<DirectoryCopy, "hookByDigest" | "merge" | "onChange">;
  /** undefined: there is none. Throws AppError unavailable. */
  resolveHook(digest: Uint8Array): Promise<ResolveHookResponse | undefined>;
  /** A clock in ms that never steps. */
  now?: () => number;
};

/** Two ways to a hook: the one that costs nothing, and the one that asks. */
export type HookLookup = {
  /**
   * The hook of a credential as far as it is known here; `absent`: the registry said a moment ago that there is none;
   * `undecided`: it has to be asked.
   */
  known(dialect: string, credential: string): Hook | "absent" | "undecided";
  /**
   * Asks the registry. `client` names the client address that pays for it; `callsMax`: calls that it may have under way.
   * @throws AppError unavailable when the registry is away; `registry_busy` when too many calls are under way
   */
  ask(
    dialect: string,
    credential: string,
    client: string,
    callsMax: number,
  ): Promise<Hook | undefined>;
};

/** ms for which "there is none" is believed; a new hook's own record ends it at once. */
const ABSENT_MS = 2_000;
/** Digests remembered as absent. */
const ABSENT_MAX = 10_000;
/** Calls to the registry under way at once. One client address may have as many as there are free ones: at most half. */
const CALLS_MAX = 64;

/** Wires the look-up. */
export function createHookLookup({
  directory,
  resolveHook,
  now = () => performance.now(),
}: Deps): HookLookup {
  const absent = new Map<string, number>();
  const asking = new Map<string, Promise<void>>();
  const callsOf = new Map<string, number>();
  directory.onChange(({ value }) => {
    if (value?.subject.case === "hook") absent.clear();
  });

  return {
    known(dialect, credential) {
      const digest = digestOf(credential);
      const hook = directory.hookByDigest(digest);
      if (hook !== undefined) return isOf(hook, dialect, digest) ? hook : "absent";
      const untilMs = absent.get(digest);
      return untilMs !== undefined && now() < untilMs ? "absent" : "undecided";
    },
    async ask(dialect, credential, client, callsMax) {
      const digest = digestOf(credential);
      await (asking.get(digest) ?? start(digest, client, callsMax));
      const found = directory.hookByDigest(digest);
      return found && isOf(found, dialect, digest) ? found : undefined;
    },
  };

  function start(digest: string, client: string, callsMax: number): Promise<void> {
    const mine = callsOf.get(client) ?? 0;
    if (mine >= Math.min(callsMax, CALLS_MAX - asking.size)) throw busy();
    callsOf.set(client, mine + 1);
    const call = resolve(digest).finally(() => {
      asking.delete(digest);
      const left = (callsOf.get(client) ?? 1) - 1;
      if (left > 0) callsOf.set(client, left);
      else callsOf.delete(client);
    });
    asking.set(digest, call);
    return call;
  }

  async function resolve(digest: string): Promise<void> {
    const answer = await resolveHook(Buffer.from(digest, "base64url"));
    if (answer?.hook) return directory.merge(answer);
    if (absent.size >= ABSENT_MAX) absent.clear();
    absent.set(digest, now() + ABSENT_MS);
  }
}

/** Whether a hook is of the dialect, and the digest still one of its live credentials, whether or not the registry is there. */
function isOf({ record }: Hook, dialect: string, digest: string): boolean {
  if (record.dialect !== dialect) return false;
  const { retiredNotAfter, credentialDigests } = record;
  if (retiredNotAfter === undefined || Date.now() < timestampMs(retiredNotAfter)) return true;
  const [newest] = credentialDigests;
  return newest !== undefined && digestText(newest) === digest;
}

function digestOf(credential: string): string {
  return hash("sha256", credential, "base64url");
}

function busy(): AppError {
  return new AppError(
    "unavailable",
    "registry_busy",
    "Too many unknown credentials are being looked up. Try again soon.",
    { retryAfterMs: 1000 },
  );
}
