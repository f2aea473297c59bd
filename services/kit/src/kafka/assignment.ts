/** Who gets which partitions, and how members tell each other: Kafka's consumer protocol, version 0. */

/** A member of a group, and what it reads. */
export type Subscription = { readonly memberId: string; readonly topics: readonly string[] };

/** The partitions of one member, by topic. */
export type Share = {
  readonly memberId: string;
  readonly partitions: ReadonlyMap<string, readonly number[]>;
};

/**
 * Deals the partitions of each topic out in turn, to the members that subscribe to it, in the order of their ids. Topics
 * that are not in `counts` are left out.
 */
export function assign(
  members: readonly Subscription[],
  counts: ReadonlyMap<string, number>,
): Share[] {
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const shares = new Map(sorted.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
  for (const [topic, count] of counts) {
    const readers = sorted.filter(({ topics }) => topics.includes(topic));
    for (const [at, { memberId }] of readers.entries()) {
      const own = Array.from({ length: count }, (_, partition) => partition);
      shares.get(memberId)?.set(
        topic,
        own.filter((partition) => partition % readers.length === at),
      );
    }
  }
  return [...shares].map(([memberId, partitions]) => ({ memberId, partitions }));
}

/** `version int16 | topics: string | user data bytes` */
export function encodeSubscription(topic: string): Buffer {
  const bytes = Buffer.alloc(2 + 4 + 2 + Buffer.byteLength(topic) + 4);
  bytes.writeInt32BE(1, 2);
  const end = writeText(bytes, 6, topic);
  bytes.writeInt32BE(0, end);
  return bytes;
}

/** The topics of a subscription; none when it is cut off. */
export function decodeSubscription(bytes: Buffer): string[] {
  const topics: string[] = [];
  if (bytes.length < 6) return topics;
  let at = 6;
  for (let left = bytes.readInt32BE(2); left > 0 && at + 2 <= bytes.length; left--) {
    const end = at + 2 + bytes.readInt16BE(at);
    topics.push(bytes.toString("utf8", at + 2, end));
    at = end;
  }
  return topics;
}

/** `version int16 | topics: string, partitions: int32 | user data bytes` */
export function encodeAssignment(partitions: ReadonlyMap<string, readonly number[]>): Buffer {
  let size = 2 + 4 + 4;
  for (const [topic, list] of partitions) {
    size += 2 + Buffer.byteLength(topic) + 4 + list.length * 4;
  }
  const bytes = Buffer.alloc(size);
  let at = bytes.writeInt32BE(partitions.size, 2);
  for (const [topic, list] of partitions) {
    at = writeText(bytes, at, topic);
    at = bytes.writeInt32BE(list.length, at);
    for (const partition of list) at = bytes.writeInt32BE(partition, at);
  }
  bytes.writeInt32BE(0, at);
  return bytes;
}

/** The partitions of one topic in an assignment; none when it is empty. @throws RangeError when it is cut off */
export function decodeAssignment(bytes: Buffer, topic: string): number[] {
  if (bytes.length < 6) return [];
  const own: number[] = [];
  let at = 6;
  for (let topics = bytes.readInt32BE(2); topics > 0; topics--) {
    const nameEnd = at + 2 + bytes.readInt16BE(at);
    const name = bytes.toString("utf8", at + 2, nameEnd);
    const count = bytes.readInt32BE(nameEnd);
    at = nameEnd + 4;
    for (let left = count; left > 0; left--, at += 4) {
      if (name === topic) own.push(bytes.readInt32BE(at));
    }
  }
  return own;
}

function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2);
  bytes.writeInt16BE(length, at);
  return at + 2 + length;
}
