import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  RegistryChangedSchema,
  ResolveHookResponseSchema,
} from "@headgate/proto/registry/v1/registry";
import { expect, test } from "vitest";
import { createDirectory, digestText } from "./directory.ts";

const digest = (byte: number) => new Uint8Array(32).fill(byte);
const team = { id: "t1", name: "team" };
const channel = { id: "c1", teamId: "t1", name: "alerts" };
const hook = { id: "h1", teamId: "t1", targetId: "c1", ownerId: "u1", dialect: "headgate" };

function open() {
  const directory = createDirectory();
  return {
    directory,
    put(subject: MessageInitShape<typeof RegistryChangedSchema>["subject"]) {
      directory.apply([{ key: "", value: create(RegistryChangedSchema, { subject }) }]);
    },
    remove: (key: string) => directory.apply([{ key, value: null }]),
    find: (byte: number) => directory.hookByDigest(digestText(digest(byte))),
  };
}

test("a hook is found by each of its digests, joined with what it names", () => {
  const { put, find } = open();
  put({ case: "team", value: team });
  put({ case: "channel", value: channel });
  put({ case: "user", value: { id: "u1", name: "sam" } });
  put({ case: "hook", value: { ...hook, credentialDigests: [digest(1), digest(2)] } });
  expect(find(1)).toMatchObject({ record: hook, team, channel, owner: { name: "sam" } });
  expect(find(2)?.record.id).toBe("h1");
  expect(find(2)?.bot).toBeUndefined();
});

test("a digest that was rotated out finds nothing any more", () => {
  const { put, find } = open();
  put({ case: "team", value: team });
  put({ case: "hook", value: { ...hook, credentialDigests: [digest(1)] } });
  put({ case: "hook", value: { ...hook, credentialDigests: [digest(2)] } });
  expect(find(1)).toBeUndefined();
  expect(find(2)).toBeDefined();
});

test("a tombstone removes a thing, and a late answer of the registry does not bring it back", () => {
  const { directory, put, remove, find } = open();
  put({ case: "team", value: team });
  put({ case: "hook", value: { ...hook, credentialDigests: [digest(1)] } });
  remove("hook:h1");
  expect(find(1)).toBeUndefined();
  const late = { hook: { ...hook, credentialDigests: [digest(1)] } };
  directory.merge(create(ResolveHookResponseSchema, late));
  expect(find(1)).toBeUndefined();
});

test("an answer of the registry fills the copy, but never undoes what is newer", () => {
  const { directory, put, find } = open();
  const version = (seconds: bigint, name: string) => ({
    ...hook,
    name,
    credentialDigests: [digest(1)],
    updatedAt: { seconds },
  });
  const answer = (seconds: bigint, name: string) =>
    create(ResolveHookResponseSchema, { team, hook: version(seconds, name) });
  directory.merge(answer(5n, "first"));
  expect(find(1)?.record.name).toBe("first");
  put({ case: "hook", value: version(7n, "newer") });
  directory.merge(answer(6n, "late"));
  expect(find(1)?.record.name).toBe("newer");
});

test("names follow renames, and a name that another took stays with it", () => {
  const { directory, put } = open();
  put({ case: "channel", value: channel });
  put({ case: "channel", value: { ...channel, id: "c2", name: "other" } });
  put({ case: "channel", value: { ...channel, name: "old-alerts" } });
  put({ case: "channel", value: { ...channel, id: "c2", name: "alerts" } });
  expect(directory.channelByName("t1", "alerts")?.id).toBe("c2");
  expect(directory.channelByName("t1", "old-alerts")?.id).toBe("c1");
  expect(directory.channelByName("t1", "other")).toBeUndefined();
});

test("members come and go", () => {
  const { directory, put, remove } = open();
  put({ case: "channelMember", value: { channelId: "c1", userId: "u1" } });
  expect(directory.isChannelMember("c1", "u1")).toBe(true);
  remove("channel_member:c1:u1");
  expect(directory.isChannelMember("c1", "u1")).toBe(false);
});

test("what is not in the topic any more when it is read again is dropped, and all else stays served meanwhile", async () => {
  const { directory, find } = open();
  const record = (
    key: string,
    subject: MessageInitShape<typeof RegistryChangedSchema>["subject"],
  ) => ({
    key,
    value: create(RegistryChangedSchema, { subject }),
  });
  const member = { channelId: "c1", userId: "u1" };
  const kept = [
    record("team:t1", { case: "team", value: team }),
    record("channel:c1", { case: "channel", value: channel }),
    record("hook:h1", { case: "hook", value: { ...hook, credentialDigests: [digest(1)] } }),
  ];
  const deleted = [
    record("hook:h2", {
      case: "hook",
      value: { ...hook, id: "h2", credentialDigests: [digest(2)] },
    }),
    record("user:u1", { case: "user", value: { id: "u1", name: "sam" } }),
    record("channel_member:c1:u1", { case: "channelMember", value: member }),
  ];
  directory.apply([...kept, ...deleted]);
  const changed: string[] = [];
  directory.onChange(({ key, value }) => {
    if (value === null) changed.push(key);
  });

  const caughtUp = Promise.withResolvers<void>();
  directory.refresh(caughtUp.promise);
  directory.apply(kept);
  expect(find(2)).toBeDefined();
  caughtUp.resolve();
  await caughtUp.promise;

  expect(find(1)).toMatchObject({ record: hook, team, channel });
  expect(find(2)).toBeUndefined();
  expect(directory.user("u1")).toBeUndefined();
  expect(directory.isChannelMember("c1", "u1")).toBe(false);
  expect(changed.sort()).toEqual(["channel_member:c1:u1", "hook:h2", "user:u1"]);
});

test("a log that was rolled back brings back no older state and nothing that was removed", async () => {
  const { directory, find } = open();
  const version = (seconds: bigint, byte: number) => ({
    key: "hook:h1",
    value: create(RegistryChangedSchema, {
      subject: {
        case: "hook",
        value: { ...hook, credentialDigests: [digest(byte)], updatedAt: { seconds } },
      },
    }),
  });
  const teamRecord = {
    key: "team:t1",
    value: create(RegistryChangedSchema, { subject: { case: "team", value: team } }),
  };
  const other = {
    key: "hook:h2",
    value: create(RegistryChangedSchema, {
      subject: { case: "hook", value: { ...hook, id: "h2", credentialDigests: [digest(3)] } },
    }),
  };
  directory.apply([teamRecord, version(7n, 2), other, { key: "hook:h2", value: null }]);
  const caughtUp = Promise.withResolvers<void>();
  directory.refresh(caughtUp.promise);
  directory.apply([teamRecord, version(5n, 1), other]);
  caughtUp.resolve();
  await caughtUp.promise;
  expect(find(1)).toBeUndefined();
  expect(find(2)).toBeDefined();
  expect(find(3)).toBeUndefined();
});
