import { hash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { AppError } from "@headgate/kit/errors";
import {
  RegistryChangedSchema,
  type ResolveHookResponse,
  ResolveHookResponseSchema,
} from "@headgate/proto/registry/v1/registry";
import { expect, test } from "vitest";
import { createDirectory } from "./directory.ts";
import { createHookFinder } from "./hooks.ts";

function answerFor(credential: string) {
  return create(ResolveHookResponseSchema, {
    team: { id: "t" },
    hook: {
      id: "h",
      teamId: "t",
      dialect: "headgate",
      credentialDigests: [hash("sha256", credential, "buffer")],
    },
  });
}

function open(resolve: () => Promise<ResolveHookResponse | undefined>) {
  const directory = createDirectory();
  let nowMs = 0;
  let calls = 0;
  const findHook = createHookFinder({
    directory,
    now: () => nowMs,
    resolveHook: () => {
      calls += 1;
      return resolve();
    },
  });
  return {
    directory,
    find: async (credential: string, dialect = "headgate") => findHook(dialect, credential),
    calls: () => calls,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("a credential is looked up once, however many ask, and then known", async () => {
  const { find, calls } = open(async () => answerFor("a"));
  const found = await Promise.all([find("a"), find("a"), find("a")]);
  expect(found.map((hook) => hook?.record.id)).toEqual(["h", "h", "h"]);
  await find("a");
  expect(calls()).toBe(1);
});

test("a hook of another dialect is none", async () => {
  expect(await open(async () => answerFor("a")).find("a", "mattermost")).toBeUndefined();
});

test("an unknown credential is not asked for again for a moment", async () => {
  const { find, calls, pass } = open(async () => undefined);
  expect(await find("a")).toBeUndefined();
  expect(await find("a")).toBeUndefined();
  expect(calls()).toBe(1);
  pass(2001);
  await find("a");
  expect(calls()).toBe(2);
});

test("a hook made a moment after it was asked for is found at once", async () => {
  const { directory, find } = open(async () => undefined);
  await find("a");
  const { team, hook } = answerFor("a");
  for (const subject of [
    { case: "team", value: team } as const,
    { case: "hook", value: hook } as const,
  ]) {
    directory.apply([{ key: "", value: create(RegistryChangedSchema, { subject } as never) }]);
  }
  expect((await find("a"))?.record.id).toBe("h");
});

test("without the registry an unknown credential is unavailable, not unknown", async () => {
  const away = new AppError("unavailable", "away", "Away.");
  const { find } = open(() => Promise.reject(away));
  await expect(find("a")).rejects.toThrow(away);
});

test("guessers cannot keep the registry busy", async () => {
  const held = Promise.withResolvers<undefined>();
  const { find, calls } = open(() => held.promise);
  const tries = Array.from({ length: 100 }, (_, at) => find(`guess ${at}`));
  const settled = Promise.allSettled(tries);
  held.resolve(undefined);
  const refused = (await settled).filter(({ status }) => status === "rejected");
  expect(calls()).toBe(64);
  expect(refused).toHaveLength(36);
});
