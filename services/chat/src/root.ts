/** Which message a reply hangs on. */

/** A message as far as replies care. `rootId` is empty for a root message. */
export type StoredRoot = {
  readonly id: string;
  readonly channelId: string;
  readonly rootId: string;
};

/**
 * The root that a message is to be stored under: the one it names, or that one's own root when it is itself a reply;
 * empty when it names none, itself, or one that is not in its channel: it is then a root message of its own.
 * @param known messages that exist already, or come earlier in the same batch, with their roots resolved
 */
export function resolveRoot(reply: StoredRoot, known: ReadonlyMap<string, StoredRoot>): string {
  const named = reply.rootId === "" ? undefined : known.get(reply.rootId);
  if (!named || named.id === reply.id || named.channelId !== reply.channelId) return "";
  return named.rootId === "" ? named.id : named.rootId;
}
