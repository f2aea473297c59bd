/** Settings of topics that bound bytes: altered where the broker's value does not suffice, left as they are where it does. */
import type { TopicSettings } from "./types.ts";

/** One such setting of a topic. */
export type TopicBound = {
  readonly name: string;
  /** What a new topic gets, and one whose value does not suffice. */
  readonly value: number;
  readonly suffices: (actual: number) => boolean;
};

/** The broker deletes whole segments only, so a bound of bytes needs segments that are a part of it. */
const SEGMENTS_PER_BOUND = 4;

/** The bounds of a topic. */
export function listBounds({
  batchBytesMax,
  retention,
}: Pick<TopicSettings, "batchBytesMax" | "retention">): TopicBound[] {
  const batch: TopicBound = {
    name: "max.message.bytes",
    value: batchBytesMax,
    suffices: (actual) => actual >= batchBytesMax,
  };
  const bytes = retention === "compacted" ? undefined : retention.bytes;
  if (bytes === undefined) return [batch];
  const segment = Math.max(batchBytesMax, Math.floor(bytes / SEGMENTS_PER_BOUND));
  return [
    batch,
    // Any bound of an operator's own will do.
    { name: "retention.bytes", value: bytes, suffices: (actual) => actual >= 0 },
    { name: "segment.bytes", value: segment, suffices: (actual) => actual <= segment },
  ];
}
