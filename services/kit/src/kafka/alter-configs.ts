/** The IncrementalAlterConfigs request, version 0: kafkajs only knows the one that resets every setting it does not name. */
import type { RawRequest } from "./link.ts";

/** A setting of a topic to be set. */
export type TopicConfig = { readonly topic: string; readonly name: string; readonly value: string };

/** What the broker answered for one topic; code 0: set. */
export type AlterResult = {
  readonly topic: string;
  readonly code: number;
  readonly message: string;
};

/** Resource type of topics. */
const TOPIC = 2;
/** Operation that sets a value. */
const SET = 0;

/**
 *     resources: type int8 | name string | configs: name string | operation int8 | value nullable string;
 *     then validate only int8
 */
export function createAlterConfigs(
  configs: readonly TopicConfig[],
): RawRequest<readonly AlterResult[]> {
  const parts = configs.map(({ topic, name, value }) =>
    Buffer.concat([
      Buffer.from([TOPIC]),
      textOf(topic),
      int32(1),
      textOf(name),
      Buffer.from([SET]),
      textOf(value),
    ]),
  );
  const body = Buffer.concat([int32(parts.length), ...parts, Buffer.from([0])]);
  return {
    apiKey: 44,
    apiVersion: 0,
    apiName: "IncrementalAlterConfigs",
    body,
    decode: readResults,
  };
}

/** throttle ms int32 | responses: error int16 | message nullable string | type int8 | name string */
function readResults(payload: Buffer): AlterResult[] {
  const results: AlterResult[] = [];
  let at = 8;
  for (let left = payload.readInt32BE(4); left > 0; left--) {
    const code = payload.readInt16BE(at);
    const messageEnd = at + 4 + Math.max(payload.readInt16BE(at + 2), 0);
    const nameEnd = messageEnd + 3 + payload.readInt16BE(messageEnd + 1);
    results.push({
      topic: payload.toString("utf8", messageEnd + 3, nameEnd),
      code,
      message: payload.toString("utf8", at + 4, messageEnd),
    });
    at = nameEnd;
  }
  return results;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** STRING: length int16, bytes. */
function textOf(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
