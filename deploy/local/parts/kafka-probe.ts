/**
 * Whether a broker can do what its clients will ask at once: an idempotent producer and a consumer group. An open port
 * is seconds earlier than that. Spoken in Kafka's own bytes, because the client library would retry and hide the answer.
 */
import { ask } from "./probe.ts";

const INIT_PRODUCER_ID = 22;
const FIND_COORDINATOR = 10;
const HEARTBEAT = 12;

/** Error codes of the Kafka protocol. */
const NONE = 0;
const UNKNOWN_MEMBER_ID = 25;

/** Their hashes fall on all four partitions of the offsets topic, each of which loads by itself. */
const GROUPS = ["probe-a", "probe-b", "probe-c", "probe-d"];

/** Whether the broker hands out producer ids and coordinates groups. Leaves nothing behind. */
export async function isKafkaServing(port: number): Promise<boolean> {
  // InitProducerId v0: transactional_id (null), transaction_timeout_ms -> throttle_time_ms, error_code, ...
  const producer = await call(port, INIT_PRODUCER_ID, [int16(-1), int32(60_000)]);
  if (producer?.readInt16BE(4) !== NONE) return false;
  for (const group of GROUPS) {
    // FindCoordinator v0: key -> error_code, ...; the first one ever makes the broker create the offsets topic.
    const found = await call(port, FIND_COORDINATOR, [text(group)]);
    if (found?.readInt16BE(0) !== NONE) return false;
    // Heartbeat v0: group_id, generation_id, member_id -> error_code. Nobody is a member: that is the answer of a loaded group.
    const beat = await call(port, HEARTBEAT, [text(group), int32(0), text("nobody")]);
    if (beat?.readInt16BE(0) !== UNKNOWN_MEMBER_ID) return false;
  }
  return true;
}

/** One request of version 0, and the body of its answer: size, correlation_id, body. */
async function call(
  port: number,
  apiKey: number,
  body: readonly Buffer[],
): Promise<Buffer | undefined> {
  const request = Buffer.concat([int16(apiKey), int16(0), int32(1), text("probe"), ...body]);
  const answer = await ask({
    port,
    question: Buffer.concat([int32(request.length), request]),
    isWhole: (bytes) => bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0),
  });
  return answer && answer.length >= 10 ? answer.subarray(8) : undefined;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** STRING: length, bytes. */
function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}
