import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import { HookState, RegistryChangedSchema } from "@headgate/proto/registry/v1/registry";
import { expect, test } from "vitest";
import { takeAnswers } from "./answered-changes.ts";
import type { ApiDeps } from "./dialects/headgate/api/deps.ts";
import { createDirectory, digestText } from "./directory.ts";

type Subject = MessageInitShape<typeof RegistryChangedSchema>["subject"];
const digest = (byte: number) => new Uint8Array(32).fill(byte);
const hook = {
  id: "h1",
  teamId: "t1",
  targetId: "c1",
  dialect: "headgate",
  state: HookState.ACTIVE,
  credentialDigests: [digest(1)],
  updatedAt: timestampFromMs(1_000),
};
const channel = { id: "c1", teamId: "t1", name: "alerts", updatedAt: timestampFromMs(1_000) };
const user = { id: "u1", name: "sam", updatedAt: timestampFromMs(1_000) };

/** A copy that knows a hook, its channel and a user, and a registry that answers as given. */
function open(answers: Partial<Record<keyof ApiDeps["management"], object>> = {}) {
  const directory = createDirectory();
  const rpcs = ManagementService.methods.map((method) => [
    method.localName,
    async () => {
      const answer = answers[method.localName as keyof typeof answers] ?? {};
      return create(method.output, answer as MessageInitShape<DescMessage>);
    },
  ]);
  const management = takeAnswers(Object.fromEntries(rpcs), directory);
  const log = (key: string, subject?: Subject) => {
    const value = subject ? create(RegistryChangedSchema, { subject }) : null;
    directory.apply([{ key, value }]);
  };
  log("team:t1", { case: "team", value: { id: "t1" } });
  log("channel:c1", { case: "channel", value: channel });
  log("user:u1", { case: "user", value: user });
  log("hook:h1", { case: "hook", value: hook });
  const find = (byte: number) => directory.hookByDigest(digestText(digest(byte)));
  return { directory, management, log, find };
}

test("a hook that was disabled is disabled here at once, and stays so when the log brings what was before", async () => {
  const disabled = { ...hook, state: HookState.DISABLED, updatedAt: timestampFromMs(3_000) };
  const { management, log, find } = open({ setIncomingHookState: { hook: disabled } });
  await management.setIncomingHookState({ id: "h1", state: HookState.DISABLED });
  expect(find(1)?.record.state).toBe(HookState.DISABLED);
  log("hook:h1", { case: "hook", value: { ...hook, updatedAt: timestampFromMs(2_000) } });
  expect(find(1)?.record.state).toBe(HookState.DISABLED);
  log("hook:h1", { case: "hook", value: disabled });
  const enabled = { ...hook, updatedAt: timestampFromMs(2_500) }; // the registry's clock went back
  log("hook:h1", { case: "hook", value: enabled });
  expect(find(1)?.record.state).toBe(HookState.ACTIVE);
});

test("a credential that was rotated out is unknown here at once", async () => {
  const rotated = {
    ...hook,
    credentialDigests: [digest(2)],
    updatedAt: timestampFromMs(3_000),
  };
  const { management, log, find } = open({ rotateIncomingHook: { hook: rotated } });
  await management.rotateIncomingHook({ id: "h1" });
  log("hook:h1", { case: "hook", value: hook });
  expect([find(1), find(2)?.record.id]).toEqual([undefined, "h1"]);
});

test("a hook that was deleted is unknown here at once, until the log has brought its end and for good", async () => {
  const { directory, management, log, find } = open();
  await management.deleteIncomingHook({ id: "h1" });
  expect(find(1)).toBeUndefined();
  log("hook:h1", { case: "hook", value: { ...hook, updatedAt: timestampFromMs(2_000) } });
  expect(find(1)).toBeUndefined();
  log("hook:h1");
  directory.merge(create(ManagementService.method.createIncomingHook.output, { hook }) as never);
  expect(find(1)).toBeUndefined();
});

test("a member that was removed is none here at once, and again one when the log says so after that", async () => {
  const { directory, management, log } = open();
  const key = "channel_member:c1:u1";
  const member: Subject = { case: "channelMember", value: { channelId: "c1", userId: "u1" } };
  log(key, member);
  await management.removeChannelMember({ channelId: "c1", userId: "u1" });
  log(key, member);
  expect(directory.isChannelMember("c1", "u1")).toBe(false);
  log(key);
  log(key, member);
  expect(directory.isChannelMember("c1", "u1")).toBe(true);
});

test("an archived channel and a deactivated user are so here at once, until the log brings them", async () => {
  const { directory, management, log } = open();
  await management.archiveChannel({ id: "c1" });
  await management.deactivateUser({ id: "u1" });
  expect(directory.channel("c1")?.archivedAt).toBeDefined();
  expect(directory.user("u1")?.deactivatedAt).toBeDefined();
  log("channel:c1", { case: "channel", value: channel });
  expect(directory.channel("c1")?.archivedAt).toBeDefined();
  const later = { ...user, updatedAt: timestampFromMs(5_000) };
  log("user:u1", { case: "user", value: later });
  expect(directory.user("u1")?.deactivatedAt).toBeUndefined();
});

test("what failed changes nothing here", async () => {
  const { directory, find } = open();
  const failing = Object.fromEntries(
    ManagementService.methods.map(({ localName }) => [
      localName,
      () => Promise.reject(new Error("away")),
    ]),
  );
  const management = takeAnswers(failing as never, directory);
  await expect(management.deleteIncomingHook({ id: "h1" })).rejects.toThrow("away");
  expect(find(1)).toBeDefined();
});
