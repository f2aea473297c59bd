/**
 * chat.posted.v1 as the live feed reads it. Most announcements have no reader here, and decoding each of them
 * would be a tenth of the gateway's work: so values stay bytes, of which only the message's id is read, until a reader needs them.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Empty, EmptySchema } from "@bufbuild/protobuf/wkt";
import { type MessagePosted, MessagePostedSchema } from "@headgate/proto/chat/v1/chat";
import { topics } from "@headgate/proto/topics";

/** An announcement that was not decoded: to a message without fields all fields are unknown, and kept as bytes. */
export type Unread = Empty;

/** The topic, for reading only. */
export const postedTopic = { ...topics.chatPosted, schema: EmptySchema, keyOf: () => "" };

/** MessagePosted.message and, in it, Message.id: both are field 1; their tag in the wire form is 0x0a. */
const FIELD = 1;
const TAG = 0x0a;
const UUID_LENGTH = 36;

/** The id of the announced message; undefined when the bytes hold none. */
export function readId(unread: Unread): string | undefined {
  const data = unread.$unknown?.[0]?.no === FIELD ? unread.$unknown[0].data : undefined;
  if (data !== undefined) {
    // Layout: length of the message (varint) · tag of the id · its length · 36 characters, when written in field order.
    let at = 0;
    while (at < data.length && ((data[at] ?? 0) & 0x80) !== 0) at++;
    at++;
    if (data[at] === TAG && data[at + 1] === UUID_LENGTH) {
      const bytes = Buffer.from(data.buffer, data.byteOffset + at + 2, UUID_LENGTH);
      return bytes.toString("latin1");
    }
  }
  return readPosted(unread)?.message?.id || undefined;
}

/** The whole announcement; undefined when the bytes hold none. */
export function readPosted(unread: Unread): MessagePosted | undefined {
  try {
    return fromBinary(MessagePostedSchema, toBinary(EmptySchema, unread));
  } catch {
    return undefined; // chat wrote something that is none; its own consumers count such records
  }
}
