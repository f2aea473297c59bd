/** Finds the hook of a credential: in the copy, else by asking the registry, each digest once at a time. */
import { hash } from "node:crypto";
import { AppError } from "@headgate/kit/errors";
import type { ResolveHookResponse } from "@headgate/proto/registry/v1/registry";
import type { Hook } from "./dialect.ts";
import type { DirectoryCopy } from "./directory.ts";

/** What the finder needs. */
type Deps = {
  directory: Pick<DirectoryCopy, "hookByDigest" | "merge" | "onChange">;
  /** undefined: there is none. Throws AppError unavailable. */
  resolveHook(digest: Uint8Array): Promise<ResolveHookResponse | undefined>;
  now?: () => number;
};

/** ms for which "there is none" is believed; a new hook's own record ends it at once. */
const UNKNOWN_MS = 2_000;
/** Digests remembered as unknown. */
const UNKNOWN_MAX = 10_000;
/** Questions to the registry at once, so that guessers cannot keep it busy. */
const ASKING_MAX = 64;

/** Wires `findHook` of the gate. */
export function createHookFinder({ directory, resolveHook, now = Date.now }: Deps) {
  const unknown = new Map<string, number>();
  const asking = new Map<string, Promise<void>>();
  directory.onChange(({ value }) => {
    if (value?.subject.case === "hook") unknown.clear();
  });

  /**
   * The hook behind a credential of a dialect; undefined when there is none.
   * @throws AppError unavailable: the copy has none and the registry is away or kept busy by others
   */
  return function findHook(
    dialect: string,
    credential: string,
  ): Hook | undefined | Promise<Hook | undefined> {
    const digest = hash("sha256", credential, "base64url");
    const hook = directory.hookByDigest(digest);
    if (hook !== undefined) return hook.record.dialect === dialect ? hook : undefined;
    const untilMs = unknown.get(digest);
    if (untilMs !== undefined && now() < untilMs) return undefined;
    return ask(digest).then(() => {
      const found = directory.hookByDigest(digest);
      return found?.record.dialect === dialect ? found : undefined;
    });
  };

  function ask(digest: string): Promise<void> {
    const running = asking.get(digest);
    if (running) return running;
    if (asking.size >= ASKING_MAX) {
      throw new AppError(
        "unavailable",
        "registry_busy",
        "Too many unknown tokens are being looked up. Try again soon.",
        {
          retryAfterMs: 1000,
        },
      );
    }
    const call = resolve(digest).finally(() => asking.delete(digest));
    asking.set(digest, call);
    return call;
  }

  async function resolve(digest: string): Promise<void> {
    const answer = await resolveHook(Buffer.from(digest, "base64url"));
    if (answer?.hook) return directory.merge(answer);
    if (unknown.size >= UNKNOWN_MAX) unknown.clear();
    unknown.set(digest, now() + UNKNOWN_MS);
  }
}
