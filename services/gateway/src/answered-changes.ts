/**
 * The registry's management, whose answers this process takes into its own copy before it passes them on: when a caller
 * has been answered that a hook is disabled, this process refuses its events from that moment, not when Kafka brings the
 * change. What was created is not taken: the first event of a new hook asks the registry, and gets all that belongs to it.
 */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema, timestampNow } from "@bufbuild/protobuf/wkt";
import type { Client } from "@headgate/kit/grpc";
import type { ManagementService } from "@headgate/proto/registry/v1/management";
import { type RegistryChanged, RegistryChangedSchema } from "@headgate/proto/registry/v1/registry";
import { registryKeyOf } from "@headgate/proto/topics";
import type { DirectoryCopy, DirectoryRecord } from "./directory.ts";

type Management = Omit<Client<typeof ManagementService>, typeof Symbol.asyncDispose>;

/** The same rpcs. */
export function takeAnswers(
  management: Management,
  directory: Pick<DirectoryCopy, "applyAnswers" | "channel" | "user">,
): Management {
  return {
    ...management,
    updateTeam: taking(management.updateTeam, ({ team }) => [of("team", team)]),
    updateUser: taking(management.updateUser, ({ user }) => [of("user", user)]),
    updateChannel: taking(management.updateChannel, ({ channel }) => [of("channel", channel)]),
    updateIncomingHook: taking(management.updateIncomingHook, ({ hook }) => [of("hook", hook)]),
    rotateIncomingHook: taking(management.rotateIncomingHook, ({ hook }) => [of("hook", hook)]),
    setIncomingHookState: taking(management.setIncomingHookState, ({ hook }) => [of("hook", hook)]),
    deleteIncomingHook: taking(management.deleteIncomingHook, (_, { id = "" }) => [
      { key: `hook:${id}`, value: null },
    ]),
    removeChannelMember: taking(
      management.removeChannelMember,
      (_, { channelId = "", userId = "" }) => [
        { key: `channel_member:${channelId}:${userId}`, value: null },
      ],
    ),
    archiveChannel: taking(management.archiveChannel, (_, { id = "" }) => {
      const channel = directory.channel(id);
      return [of("channel", channel && ended(channel, { archivedAt: timestampNow() }))];
    }),
    deactivateUser: taking(management.deactivateUser, (_, { id = "" }) => {
      const user = directory.user(id);
      return [of("user", user && ended(user, { deactivatedAt: timestampNow() }))];
    }),
  };

  function taking<Request, Settings, Response>(
    call: (request: Request, settings?: Settings) => Promise<Response>,
    recordsOf: (response: Response, request: Request) => (DirectoryRecord | undefined)[],
  ) {
    return async (request: Request, settings?: Settings): Promise<Response> => {
      const response = await call(request, settings);
      directory.applyAnswers(recordsOf(response, request).filter((record) => record !== undefined));
      return response;
    };
  }
}

/** The record of a thing; undefined without one. */
function of<Kind extends NonNullable<RegistryChanged["subject"]["case"]>>(
  kind: Kind,
  value: Extract<RegistryChanged["subject"], { case: Kind }>["value"] | undefined,
): DirectoryRecord | undefined {
  if (value === undefined) return undefined;
  const subject = { case: kind, value } as RegistryChanged["subject"]; // kind and value are of one pair
  const changed = create(RegistryChangedSchema, { subject });
  return { key: registryKeyOf(changed), value: changed };
}

/** A thing that ended just now: 1 µs newer than what is held, so older than the registry's own record of it. */
function ended<T extends { updatedAt?: Timestamp | undefined }>(thing: T, change: Partial<T>): T {
  const { seconds = 0n, nanos = 0 } = thing.updatedAt ?? {};
  const updatedAt = create(TimestampSchema, { seconds, nanos: nanos + 1_000 });
  return { ...thing, ...change, updatedAt };
}
