import { hash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AppError } from "@headgate/kit/errors";
import {
  type IncomingHook,
  RegistryChangedSchema,
  type ResolveHookResponse,
  ResolveHookResponseSchema,
} from "@headgate/proto/registry/v1/registry";
import { expect, test } from "vitest";
import { createDirectory } from "../directory.ts";
import { createHookLookup } from "./hook-lookup.ts";

function answerFor(
  credential: string,
  rotated?: { old: string; retiredNotAfter: IncomingHook["retiredNotAfter"] & object },
) {
  return create(ResolveHookResponseSchema, {
    team: { id: "t" },
    hook: {
      id: "h",
      teamId: "t",
      dialect: "headgate",
      credentialDigests: [credential, ...(rotated ? [rotated.old] : [])].map((text) =>
        hash("sha256", text, "buffer"),
      ),
      ...(rotated && { retiredNotAfter: rotated.retiredNotAfter }),
    },
  });
}

function open(resolve: () => Promise<ResolveHookResponse | undefined>) {
  const directory = createDirectory();
  let nowMs = 0;
  let calls = 0;
  const lookup = createHookLookup({
    directory,
    now: () => nowMs,
    resolveHook: () => {
      calls += 1;
      return resolve();
    },
  });
  return {
    directory,
    async find(credential: string, { dialect = "headgate", client = "a", callsMax = 1_000 } = {}) {
      const known = lookup.known(dialect, credential);
      if (known === "absent") return undefined;
      if (known !== "undecided") return known;
      return lookup.ask(dialect, credential, client, callsMax);
    },
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
  expect(
    await open(async () => answerFor("a")).find("a", { dialect: "mattermost" }),
  ).toBeUndefined();
});

test("an old credential stops working when its grace period ends, with the registry away too", async () => {
  const retiredNotAfter = timestampFromMs(Date.now() - 1);
  const { find, calls } = open(async () => answerFor("new", { old: "old", retiredNotAfter }));
  expect((await find("new"))?.record.id).toBe("h");
  expect(await find("old")).toBeUndefined();
  expect(calls()).toBe(1);
});

test("an old credential works until then", async () => {
  const retiredNotAfter = timestampFromMs(Date.now() + 600_000);
  const { find } = open(async () => answerFor("new", { old: "old", retiredNotAfter }));
  expect((await find("old"))?.record.id).toBe("h");
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

test("one client address takes at most half of the calls to the registry, and the others go on", async () => {
  const held = Promise.withResolvers<undefined>();
  const { find, calls } = open(() => held.promise);
  const guesses = Array.from({ length: 100 }, (_, at) => find(`guess ${at}`, { client: "a" }));
  expect(calls()).toBe(32);
  const other = find("mine", { client: "b" });
  expect(calls()).toBe(33);
  const settled = Promise.allSettled([...guesses, other]);
  held.resolve(undefined);
  const refused = (await settled).filter(({ status }) => status === "rejected");
  expect(refused).toHaveLength(68);
  expect(await find("later", { client: "a" })).toBeUndefined();
});

test("many client addresses together have at most 64 calls under way", async () => {
  const held = Promise.withResolvers<undefined>();
  const { find, calls } = open(() => held.promise);
  const guesses = Array.from({ length: 200 }, (_, at) => find(`guess ${at}`, { client: `${at}` }));
  const settled = Promise.allSettled(guesses);
  expect(calls()).toBe(64);
  held.resolve(undefined);
  await settled;
});

test("a client address asks for no more at once than its budget has left", async () => {
  const held = Promise.withResolvers<undefined>();
  const { find, calls } = open(() => held.promise);
  const settled = Promise.allSettled(
    Array.from({ length: 10 }, (_, at) => find(`guess ${at}`, { callsMax: 3 })),
  );
  expect(calls()).toBe(3);
  held.resolve(undefined);
  await settled;
});
