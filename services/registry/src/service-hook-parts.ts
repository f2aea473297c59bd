/** What comes with an incoming hook: its bot and its credential. */
import { create } from "@bufbuild/protobuf";
import { type IncomingHook, type User, UserSchema } from "@headgate/proto/registry/v1/registry";
import { DIALECTS, digestOf, hintOf } from "./credential.ts";
import { missing, type Scene } from "./service-change.ts";
import type { Deps, Reader } from "./service-deps.ts";
import { addUser } from "./service-people.ts";

/** A bot of the hook's owner, named after the hook; the last digits of its id tell namesakes apart. */
export async function makeBot(
  { createId }: Pick<Deps, "createId">,
  scene: Scene,
  hook: IncomingHook,
): Promise<User> {
  const id = createId();
  const bot = create(UserSchema, {
    id,
    number: hook.number + 1n,
    name: `${slug(hook.name)}-${id.slice(-8)}`,
    displayName: [...(hook.name || hook.dialect)].slice(0, 128).join(""),
    isBot: true,
    ownerId: hook.ownerId,
    madeForHookId: hook.id,
    createdAt: hook.createdAt,
    updatedAt: hook.createdAt,
  });
  await addUser(scene, bot, { hash: undefined, teamId: hook.teamId });
  return bot;
}

/** Makes, seals and stores a credential, with its hint on the hook. */
export async function giveCredential(
  { sealer }: Pick<Deps, "sealer">,
  { tx, at }: Scene,
  hook: IncomingHook,
): Promise<string> {
  const form = DIALECTS.get(hook.dialect);
  if (!form) throw new Error(`no form of credentials for the dialect ${hook.dialect}`);
  const credential = form.create();
  const sealed = form.isShownAgain ? sealer.seal(credential, hook.id) : undefined;
  await tx.insertCredential(hook.id, { digest: digestOf(credential), sealed, createdAt: at });
  await tx.saveHook({ ...hook, hint: hintOf(credential) });
  return credential;
}

/** A hook as the store has it now, with its digests. */
export async function reread(reader: Reader, id: string): Promise<IncomingHook> {
  const hook = await reader.findHook(id);
  if (!hook) throw missing("hook");
  return hook;
}

/** A handle from a name: letters and digits of ASCII, hyphens between; "hook" when nothing is left. */
function slug(name: string): string {
  const plain = name
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-");
  return plain.slice(0, 48).replaceAll(/^-+|-+$/g, "") || "hook";
}
