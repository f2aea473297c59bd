import { topics } from "@headgate/proto/topics";

/** Where the publisher floor writes: like the real topic, but nobody consumes it. */
export const floorTopic = { ...topics.chatRequested, name: "bench.floor.v1" } as const;
