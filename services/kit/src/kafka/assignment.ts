/** Who gets which partitions, and how members tell each other: Kafka's consumer protocol, version 0. */

/** The partitions of one member. */
export type Share = { readonly memberId: string; readonly partitions: readonly number[] };

/** Deals the partitions out in turn, to the members in the order of their ids. */
export function assign(memberIds: readonly string[], partitionCount: number): Share[] {
  const sorted = [...memberIds].sort();
  return sorted.map((memberId, at) => ({
    memberId,
    partitions: Array.from({ length: partitionCount }, (_, partition) => partition).filter(
      (partition) => partition % sorted.length === at,
    ),
  }));
}

/** `version int16 | topics: string | user data bytes` */
export function encodeSubscription(topic: string): Buffer {
  const bytes = Buffer.alloc(2 + 4 + 2 + Buffer.byteLength(topic) + 4);
  bytes.writeInt32BE(1, 2);
  const end = writeText(bytes, 6, topic);
  bytes.writeInt32BE(0, end);
  return bytes;
}

/** `version int16 | topics: string, partitions: int32 | user data bytes` */
export function encodeAssignment(topic: string, partitions: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 + 4 + 2 + Buffer.byteLength(topic) + 4 + partitions.length * 4 + 4);
  bytes.writeInt32BE(1, 2);
  let at = writeText(bytes, 6, topic);
  at = bytes.writeInt32BE(partitions.length, at);
  for (const partition of partitions) at = bytes.writeInt32BE(partition, at);
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
