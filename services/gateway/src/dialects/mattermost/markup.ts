/**
 * Slack's markup as Markdown. The conversion is textual, inside code spans too; what it does not know stays as it is, to
 * the byte.
 */

/** The local account of a 26-character id, by name; undefined when there is none. */
export type NameOf = (id: string) => string | undefined;

const ANNOUNCEMENTS = /<!(channel|here|all)>/g;
const PERSON = /<@([A-Za-z0-9]{26})>/g;
// Neither side is empty or holds "|" or ">", the left no "<". A link of the text stays on its line; in attachments it need not.
const LINK_ON_ONE_LINE = /<([^\n<|>]+)\|([^\n|>]+)>/g;
const LINK = /<([^<|>]+)\|([^|>]+)>/g;

/** Announcements and people: what an attachment's title gets too. */
export function convertNames(text: string, nameOf: NameOf): string {
  if (!text.includes("<")) return text;
  return text.replace(ANNOUNCEMENTS, "@$1").replace(PERSON, (whole, id: string) => {
    const name = nameOf(id);
    return name === undefined ? whole : `@${name}`;
  });
}

/** All of it, as the text of a message gets it. */
export function convertText(text: string, nameOf: NameOf): string {
  if (!text.includes("<")) return text;
  return convertNames(text, nameOf).replace(LINK_ON_ONE_LINE, "[$2]($1)");
}

/** All of it, as the texts and field values of attachments get it: links may hold line breaks. */
export function convertAttachmentText(text: string, nameOf: NameOf): string {
  return convertNames(text, nameOf).replace(LINK, "[$2]($1)");
}
