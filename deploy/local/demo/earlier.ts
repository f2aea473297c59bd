/** What `demo.json` of an earlier run says. People edit, damage, copy and remove it, so nothing in it is taken for granted. */
import { readFile } from "node:fs/promises";

/** Members are undefined where the files are missing, damaged or lack them; an empty text counts as missing. */
export type Earlier = {
  /** Whether there was a demo.json that could be read. */
  readonly isThere: boolean;
  readonly url: string | undefined;
  readonly teamId: string | undefined;
  readonly channelId: string | undefined;
  readonly personId: string | undefined;
  readonly personToken: string | undefined;
  /** URLs and ids of the hooks, by dialect. The API shows a URL once; the ids stand in a file of their own. */
  readonly hookUrls: Readonly<Record<string, string>>;
  readonly hookIds: Readonly<Record<string, string>>;
  /** The names that go with the ids. */
  readonly names: { readonly team: string; readonly channel: string; readonly person: string };
};

/** Reads both files of an earlier run; never throws. */
export async function readEarlier(demoFile: string, idsFile: string): Promise<Earlier> {
  const demo = await readObject(demoFile);
  const { team, channel, person } = {
    team: asObject(demo?.team),
    channel: asObject(demo?.channel),
    person: asObject(demo?.person),
  };
  return {
    isThere: demo !== undefined,
    url: asText(demo?.url),
    teamId: asText(team.id),
    channelId: asText(channel.id),
    personId: asText(person.id),
    personToken: asText(person.token),
    hookUrls: asTexts(demo?.hooks),
    hookIds: asTexts(await readObject(idsFile)),
    names: {
      team: asText(team.name) ?? "",
      channel: asText(channel.name) ?? "",
      person: asText(person.name) ?? "",
    },
  };
}

async function readObject(file: string): Promise<Record<string, unknown> | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(file, "utf8"));
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : undefined;
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function asTexts(value: unknown): Record<string, string> {
  const texts = Object.entries(asObject(value)).map(([key, text]) => [key, asText(text)] as const);
  return Object.fromEntries(
    texts.filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
